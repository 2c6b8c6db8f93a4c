"""One run of a subject, in a process of its own: `python -m codex_audit.proofs.trainer.run`."""

from __future__ import annotations

import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codex_audit.proofs.child import in_tree, place_of, serve
from codex_audit.proofs.trainer.subject import METHODS, Subject, build, resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_PATIENCE = 0.01
REFERENCE = "codex_audit.proofs.trainer.reference:create"


def job(spec: dict[str, Any], report: Callable[[Mapping[str, Any]], None]) -> None:
    """Do one run of the kind that `spec["mode"]` names: straight, interrupted, resumed, probe."""
    if spec["mode"] == "probe":
        report(_probe())
        return
    started = time.monotonic()
    name = spec["factory"] or REFERENCE
    factory = resolve(name)
    if spec["mode"] == "resumed":
        _wait_for(Path(spec["go"]))
    # The factory's module has imported its torch by now, whichever that is.
    from codex_audit.proofs.trainer.bits import dump, next_draws  # noqa: PLC0415

    directory = Path(spec["directory"])
    before = next_draws()
    subject = build(factory, name, (spec["seed"], spec["device"], directory))
    result: dict[str, Any] = {"subject": _describe(spec, factory, subject), **_probe()}
    prefix = Path(spec["result"]).with_suffix("")

    def snapshot(moment: str) -> dict[str, Any]:
        order = getattr(subject, "order", None)
        path = prefix.with_name(f"{prefix.name}-{moment}.bin")
        taken = dump(path, subject.state(), order() if callable(order) else None)
        # A generator that nobody seeded and nobody drew from says nothing about this trainer.
        taken["draws"] = {k: v for k, v in taken["draws"].items() if v != before[k]}
        return taken

    def train(steps: int) -> list[str]:
        return [float(loss).hex() for loss in subject.train(steps)]

    if spec["mode"] == "resumed":
        subject.load(directory)
        result["loaded"] = snapshot("loaded")
    result["losses"] = train(spec["steps"])
    if spec["mode"] == "interrupted":
        subject.save(directory)
    result["final"] = snapshot("final")
    result["seconds"] = time.monotonic() - started
    report(result)
    if spec["mode"] == "straight":
        report(result | _with_other_seed(spec, factory, name))
    if spec["mode"] == "interrupted":
        _run_on(spec, subject)


def _with_other_seed(
    spec: dict[str, Any], factory: Callable[..., Any], name: str
) -> dict[str, Any]:
    """The first losses under another seed, or why there are none.

    That this process has drawn random numbers before hides nothing: who seeds by a number of
    his own gives the first run's losses again, and who does not seed at all fails the check
    of two processes with one seed.
    """
    directory = Path(spec["directory"]) / "other"
    directory.mkdir(exist_ok=True)
    try:
        subject = build(factory, name, (spec["other_seed"], spec["device"], directory))
        losses = subject.train(spec["other_steps"])
    except Exception as error:  # noqa: BLE001 - one run a process is all that a subject promises
        return {"other_error": f"{type(error).__name__}: {error}"}
    return {"other_losses": [float(loss).hex() for loss in losses]}


def _wait_for(path: Path) -> None:
    """Wait, with all modules imported, until the interrupted run has been killed."""
    while not path.exists():
        time.sleep(_PATIENCE)


def _run_on(spec: dict[str, Any], subject: Subject) -> None:
    """Train past the checkpoint until killed, so that whatever is still in memory is lost."""
    for step in range(spec["steps"] + 1, 2 * spec["steps"] + 1):
        subject.train(step)
        with Path(spec["beyond"]).open("ab") as stream:
            stream.write(b".")  # one a step, as a kill may come between any two bytes
    time.sleep(spec["timeout"])


def _describe(
    spec: dict[str, Any], factory: Callable[..., Any], subject: Subject
) -> dict[str, Any]:
    root = Path(spec["root"])
    cited = type(getattr(subject, "trainer", subject))
    places = {method: place_of(getattr(cited, method, None), root) for method in METHODS}
    places["factory"] = place_of(factory, root)
    file = getattr(sys.modules[cited.__module__], "__file__", None)
    if spec["factory"]:
        file = getattr(sys.modules.get(factory.__module__), "__file__", None)
    return {
        "name": spec["factory"] or "codex_ml",
        "in_tree": file is not None and in_tree(Path(file), root),
        "places": {name: place for name, place in places.items() if place},
    }


def _probe() -> dict[str, Any]:
    # After the subject's own imports, so that theirs fail first.
    from torch import cuda  # noqa: PLC0415
    from torch.version import cuda as built_for  # noqa: PLC0415

    available = cuda.is_available()
    return {
        "device_name": cuda.get_device_name() if available else None,
        "versions": {"torch": version("torch"), "python": platform.python_version()},
        "why_no_cuda": None if available else _why_no_cuda(built_for),
    }


def _why_no_cuda(built_for: str | None) -> str:
    if built_for is None:
        return f"torch {version('torch')} is built without CUDA"
    return f"torch {version('torch')} is built for CUDA {built_for} and finds no device"


if __name__ == "__main__":
    serve(job)
