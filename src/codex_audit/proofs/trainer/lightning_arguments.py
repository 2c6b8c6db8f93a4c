"""The arguments that a Lightning Trainer is made with when it stands trial."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from codex_audit.proofs.trainer.session import Session

_PRECISIONS = {"fp16": "16-mixed", "bf16": "bf16-mixed", "fp32": "32-true"}


def arguments_of(package: Any, session: Session, given: Mapping[str, Any]) -> dict[str, Any]:
    """What a proof asks for, then what the factory gave, then what keeps a trial short."""
    run, knobs = session.run, session.knobs
    callbacks = given.get("callbacks") or []
    several = callbacks if isinstance(callbacks, list | tuple) else [callbacks]
    keeps = any(isinstance(each, part_of(package, "callbacks").Checkpoint) for each in several)
    ours: dict[str, Any] = {
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": keeps,
        "default_root_dir": str(session.directory / "work"),
        "accelerator": "cpu" if run.device == "cpu" else "gpu",
        "devices": 1,
    }
    asked: dict[str, Any] = {}
    epochs = given.get("max_epochs")
    if epochs not in {None, -1}:  # at most; `_fit_epochs` lowers it where it can
        asked["max_epochs"] = max(epochs, run.horizon)
    if epochs in {None, -1} or given.get("max_steps", -1) != -1:
        asked["max_steps"] = run.horizon
    if run.ranks > 1:
        asked |= {"devices": run.ranks, "strategy": given.get("strategy", "ddp")}
    if "accumulate" in knobs:
        asked["accumulate_grad_batches"] = knobs["accumulate"]
    if "clip_norm" in knobs:
        asked |= {"gradient_clip_val": knobs["clip_norm"], "gradient_clip_algorithm": "norm"}
    if "evaluate_every" in knobs:
        every = knobs["evaluate_every"]
        at = {"val_check_interval": every, "check_val_every_n_epoch": None}
        asked |= at if every else {"limit_val_batches": 0}
    if "precision" in knobs:
        asked["precision"] = _PRECISIONS.get(str(knobs["precision"]), knobs["precision"])
    if "keep" in knobs:
        keeper = _keeper(package, session, several)
        others = [each for each in several if not isinstance(each, _kept(package))]
        asked |= {"enable_checkpointing": True, "callbacks": [*others, keeper]}
    return {**ours, **given, **asked}


def part_of(package: Any, part: str) -> Any:
    """A module of the package, such as its callbacks."""
    return importlib.import_module(f"{package.__name__}.{part}")


def _kept(package: Any) -> Any:
    return part_of(package, "callbacks").ModelCheckpoint


def _keeper(package: Any, session: Session, callbacks: Iterable[Any]) -> Any:
    """The factory's own ModelCheckpoint, or the library's, keeping the newest few.

    One alone needs no monitor: the library keeps the newest by default, in code of its own.
    """
    kind, keep = _kept(package), session.knobs["keep"]
    ours = kind(
        dirpath=session.spelled(session.place(0)),
        filename="{step}",
        every_n_train_steps=1,
        monitor=None if keep == 1 else "step",
        mode="max",
        save_top_k=keep,
    )
    own = next((each for each in callbacks if isinstance(each, kind)), None)
    if own is None:
        return ours
    vars(own).update(vars(ours))
    return own
