"""One run of a subject, in a process of its own: `python -m codex_audit.proofs.trainer.run`."""

from __future__ import annotations

import os
import platform
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from codex_audit.proofs.child import in_tree, place_of, serve
from codex_audit.proofs.nursery import heavy_modules, slow_modules
from codex_audit.proofs.trainer.offline import cut_network
from codex_audit.proofs.trainer.runs import Run
from codex_audit.proofs.trainer.session import Session, UnableError
from codex_audit.proofs.trainer.subject import resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from codex_audit.proofs.trainer.session import Driver

MODULE = "codex_audit.proofs.trainer.run"
REFERENCE = "codex_audit.proofs.trainer.reference:create"
_LONG = 1.0  # seconds that each of dozens of runs would spend on imports
_LIBRARIES = ("torch", "numpy", "transformers", "accelerate", "lightning", "pytorch-lightning")


def job(spec: dict[str, Any], report: Callable[[Mapping[str, Any]], None]) -> None:
    """Do the run that `spec["run"]` describes, or tell of the device where there is none."""
    if spec.get("run") is None:
        report(_device())
        return
    try:
        _do(spec, report)
    except UnableError as why:
        report({"skip": str(why)})


def _do(spec: dict[str, Any], report: Callable[[Mapping[str, Any]], None]) -> None:
    run = msgspec.convert(spec["run"], Run, strict=False)
    if run.offline:
        cut_network()
    name = spec["factory"] or REFERENCE
    root = Path(spec["root"])
    known, started = set(sys.modules), time.monotonic()
    factory = resolve(name)
    slow = slow_modules(known, root) if time.monotonic() - started > _LONG else []
    # The factory's module has imported its torch by now, whichever that is.
    from codex_audit.proofs.trainer import (  # noqa: PLC0415
        adapters,
        digests,
        interventions,
        recorder,
    )
    from codex_audit.proofs.trainer.adapters.choosing import make_driver  # noqa: PLC0415
    from codex_audit.proofs.trainer.checkpoint_files import files_in  # noqa: PLC0415
    from codex_audit.proofs.trainer.reading import Reads  # noqa: PLC0415

    del adapters
    source = Path(spec["source"]) if spec.get("source") else None
    if run.faults.contrary and os.environ.get("RANK", "0") != "0":
        interventions.turn_gradients()
    watch = recorder.Recorder(Path(spec["trace"]), run.faults)
    watch.install()
    watch.waits = True
    session = Session(run, Path(spec["directory"]), source, watch)
    files = files_in(session.source) if session.source else ()
    reads = Reads(session.source) if session.source else None
    untouched = digests.rng_digests()
    adapter, driver = make_driver(factory, name, session)
    for model in reversed(driver.models()):
        watch.know(model)
    watch.extra = driver.extra
    told: dict[str, Any] = {
        "subject": _describe(spec, factory, driver, adapter, root),
        "heavy": heavy_modules(root),
        "slow": slow,
        "untouched": untouched,
        **_device(),
    }

    def so_far() -> None:
        told["files"] = msgspec.to_builtins(reads.told(files) if reads else files)
        report(told | _so_far(session))

    session.told = so_far
    session.models = driver.models
    so_far()
    watch.waits = False
    losses = driver.go()
    told["losses"] = [float(loss).hex() for loss in losses]
    order = driver.order()
    if order is not None:
        told["order"] = {str(step): [int(row) for row in rows] for step, rows in order.items()}
    told["optimizers"] = watch.optimizers
    told["follows"], told["looks"] = watch.follows, watch.looks
    told["shuffles"] = watch.sampling.shuffles
    told["final"] = msgspec.to_builtins(watch.state())
    session.finish_save()
    so_far()


def _so_far(session: Session) -> dict[str, Any]:
    return {
        "saves": msgspec.to_builtins(session.saves),
        "evaluations": msgspec.to_builtins(session.evaluations),
        "loaded": msgspec.to_builtins(session.loaded),
    }


def _describe(
    spec: dict[str, Any], factory: Callable[..., Any], driver: Driver, adapter: str, root: Path
) -> dict[str, Any]:
    places = {method: place_of(thing, root) for method, thing in driver.methods.items()}
    home = factory if spec["factory"] else driver.methods.get("train")
    file = getattr(sys.modules.get(getattr(home, "__module__", "")), "__file__", None)
    return {
        "name": spec["factory"] or "codex_ml",
        "adapter": adapter,
        "in_tree": file is not None and in_tree(Path(file), root),
        "knobs": sorted(driver.knobs),
        "abilities": sorted(driver.abilities),
        "places": {name: place for name, place in places.items() if place},
    }


def _device() -> dict[str, Any]:
    # After the subject's own imports, so that theirs fail first.
    from torch import cuda  # noqa: PLC0415
    from torch.version import cuda as built_for  # noqa: PLC0415

    available = cuda.is_available()
    return {
        "device_name": cuda.get_device_name() if available else None,
        "versions": _versions(),
        "why_no_cuda": None if available else _why_no_cuda(built_for),
    }


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        if name.replace("-", "_") in sys.modules:
            try:
                found[name] = version(name)
            except PackageNotFoundError:  # a module of the audited tree has the name
                continue
    return found


def _why_no_cuda(built_for: str | None) -> str:
    if built_for is None:
        return f"torch {version('torch')} is built without CUDA"
    return f"torch {version('torch')} is built for CUDA {built_for} and finds no device"


if __name__ == "__main__":
    serve(job)
