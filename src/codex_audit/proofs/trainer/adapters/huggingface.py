"""`transformers.Trainer`, and what derives from it, through its own arguments, hooks and resume.

The factory returns a trainer that is ready to `train()`. What a proof asks for is set on its
`TrainingArguments` as they are made, so that all that follows from them follows; what they say
of when to stop and when to save gives way to the trial, and nothing is reported to any service.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch.utils.data import IterableDataset

from codex_audit.proofs.trainer.adapters.choosing import knobs_of
from codex_audit.proofs.trainer.own_tensors import OwnTensors
from codex_audit.proofs.trainer.session import UnableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from torch import Tensor, nn

    from codex_audit.proofs.trainer.session import Session

LIBRARY = "transformers"
_KNOBS = ("accumulate", "batch_size", "clip_norm", "keep", "precision", "save_every")
_NEVER = 10**9
_LOSSES = ("loss", "eval_loss")
# Where a proof's evidence may lie, in the order of looking: what the subject's own class overrides.
_CITED = {
    "train": ("compute_loss", "training_step", "get_train_dataloader", "create_optimizer", "train"),
    "save": ("_save_checkpoint", "_save_rng_state", "_save", "save_model"),
    "load": ("_load_rng_state", "_load_optimizer_and_scheduler", "_load_from_checkpoint", "train"),
    "evaluate": ("evaluate", "evaluation_loop", "prediction_step"),
}


@contextmanager
def prepare(session: Session) -> Iterator[None]:
    """Have every `TrainingArguments` made meanwhile say what the run asks for."""
    trainers, settings = _part("trainer").Trainer, _part("training_args").TrainingArguments
    finish, initialise = settings.__post_init__, trainers.__init__
    taken = inspect.signature(initialise)
    told: list[Any] = []

    def finished(arguments: Any) -> None:
        _tell(arguments, session)
        finish(arguments)
        told.append(arguments)

    def initialised(trainer: Any, *args: Any, **kwargs: Any) -> None:
        given = taken.bind(trainer, *args, **kwargs)
        arguments = given.arguments.get("args")
        if arguments is not None and not any(arguments is each for each in told):
            # They were made before the factory was called.
            given.arguments["args"] = dataclasses.replace(arguments)
        initialise(*given.args, **given.kwargs)

    settings.__post_init__, trainers.__init__ = finished, initialised
    try:
        yield
    finally:
        settings.__post_init__, trainers.__init__ = finish, initialise


def adapt(made: Any, factory: Callable[..., Any], session: Session) -> _Driver | None:
    """A driver of a `transformers.Trainer`."""
    if isinstance(made, _part("trainer").Trainer):
        return _Driver(made, factory, session)
    return None


def _part(name: str) -> Any:
    """A module of the library, which only a process that uses it imports."""
    return importlib.import_module(f"{LIBRARY}.{name}")


class _Driver:
    def __init__(self, trainer: Any, factory: Callable[..., Any], session: Session) -> None:
        self._trainer = trainer
        self._session = session
        self._own = OwnTensors(trainer, LIBRARY)
        # Where a metric leads the rate, an evaluation is meant to change what follows.
        evaluates = trainer.eval_dataset is not None and not _led_by_metric(trainer.args)
        streams = isinstance(trainer.train_dataset, IterableDataset)
        some = {"evaluate_every": evaluates, "keep_best": evaluates, "workers": not streams}
        self.knobs = knobs_of(factory) | {*_KNOBS, *(name for name, has in some.items() if has)}
        able = {"evaluate": evaluates, "extra": bool(self.extra()), "distributed": True}
        self.abilities = frozenset(name for name, has in able.items() if has)
        self.methods = {name: _cited(trainer, names) for name, names in _CITED.items()}
        self.methods["factory"] = factory
        self._obey()

    def models(self) -> list[nn.Module]:
        """The model, unless `train()` makes it anew."""
        return [] if self._trainer.model_init is not None else [self._trainer.model]

    def extra(self) -> Mapping[str, Tensor]:
        """Tensors that callbacks or attributes of the subject's own class hold, and counters."""
        found = dict(self._own.of("trainer", self._trainer))
        for callback in self._trainer.callback_handler.callbacks:
            name = type(callback).__name__
            found |= self._own.of(name, callback)
            exported = getattr(callback, "state", None)
            if callable(exported):
                found |= self._own.numbers(name, exported().get("attributes", {}))
        return found | self._own.numbers("state", {"best_metric": self._trainer.state.best_metric})

    def order(self) -> None:
        """The sampler tells."""

    def go(self) -> list[float]:
        """Resume from what the trainer picks among its checkpoints, or start anew."""
        session, checkpoint = self._session, None
        where = session.source
        if where is not None:
            # In the directory that it used before, where callbacks may look for their own files.
            self._save_in(where)
            if where.is_dir():
                checkpoint = _part("trainer_utils").get_last_checkpoint(session.spelled(where))
            if checkpoint is not None:
                _moved(Path(checkpoint))
        self._trainer.train(resume_from_checkpoint=checkpoint)
        return []

    def _obey(self) -> None:
        """Have the trainer save, evaluate and stop where the run asks for it."""
        trainer = self._trainer
        trainer.add_callback(_asking(self._session))
        for callback in trainer.callback_handler.callbacks:
            if hasattr(callback, "early_stopping_patience") and not self._session.run.stops:
                callback.early_stopping_patience = _NEVER  # a trial says when a run ends
        trainer._save_checkpoint = self._saving(trainer._save_checkpoint)  # noqa: SLF001 - its hook
        trainer._load_rng_state = self._loading(trainer._load_rng_state)  # noqa: SLF001 - as above
        trainer.evaluate = self._evaluating(trainer.evaluate)

    def _save_in(self, where: Path) -> None:
        # In some releases arguments are frozen once they are checked.
        object.__setattr__(self._trainer.args, "output_dir", self._session.spelled(where))

    def _saving(self, save: Callable[..., Any]) -> Callable[..., Any]:
        session, trainer = self._session, self._trainer

        def saving(*args: Any, **kwargs: Any) -> Any:
            step = trainer.state.global_step
            if step not in session.run.saves and not session.knobs.get("save_every"):
                return save(*args, **kwargs)
            with session.saving(step) as where:
                # There it stays, for callbacks that save beside it.
                self._save_in(where)
                return save(*args, **kwargs)

        return saving

    def _loading(self, load: Callable[..., Any]) -> Callable[..., Any]:
        """The generators come last, right before the first step: then loading has ended."""

        def loading(*args: Any, **kwargs: Any) -> Any:
            result = load(*args, **kwargs)
            if self._session.source is not None and self._session.loaded is None:
                self._session.has_loaded()
            return result

        return loading

    def _evaluating(self, evaluate: Callable[..., Any]) -> Callable[..., Any]:
        session, trainer = self._session, self._trainer
        within = False

        def evaluating(*args: Any, **kwargs: Any) -> Any:
            nonlocal within
            if within or trainer.state.global_step not in session.run.evaluate_at:
                return evaluate(*args, **kwargs)
            within = True
            with session.evaluating() as tell:
                result = evaluate(*args, **kwargs)
                if isinstance(result.get("eval_loss"), float):
                    tell(result["eval_loss"])
            within = False
            return result

        return evaluating


def _moved(checkpoint: Path) -> None:
    """Have a checkpoint, which was copied, name the best one where that lies now."""
    file = checkpoint / "trainer_state.json"
    try:
        state = json.loads(file.read_bytes())
    except (OSError, ValueError):  # a kill may have left none, or a part of it
        return
    best = state.get("best_model_checkpoint")
    if best and (checkpoint.parent / Path(best).name).is_dir():
        # Spelled as before: the trial is of what compares directories as texts.
        start = "./" if best.startswith("./") else ""
        state["best_model_checkpoint"] = f"{start}{checkpoint.parent / Path(best).name}"
        file.write_text(json.dumps(state), encoding="utf-8")


def _asking(session: Session) -> Any:
    """A callback, the last of all, by which the trainer does what the run asks."""
    run, by_itself = session.run, bool(session.knobs.get("save_every"))

    class Asking(_part("trainer_callback").TrainerCallback):  # type: ignore[misc] # it is Any
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            step = state.global_step
            wanted = step in run.saves and not self._late(args, state)
            control.should_evaluate = control.should_evaluate or step in run.evaluate_at
            control.should_save = wanted or (by_itself and control.should_save)
            control.should_training_stop = control.should_training_stop or step >= run.until

        def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            wanted = state.global_step in run.saves and self._late(args, state)
            control.should_save = wanted or (by_itself and control.should_save)

        def _late(self, args: Any, state: Any) -> bool:
            """Whether it saves at an epoch's end, after what else happens there."""
            ended = state.epoch is not None and float(state.epoch).is_integer()
            return ended and str(getattr(args.save_strategy, "value", "")) != "steps"

    return Asking()


def _tell(arguments: Any, session: Session) -> None:
    """Set on arguments that are about to be checked what the run asks for."""
    run, knobs = session.run, session.knobs
    told: dict[str, Any] = {
        "output_dir": str(session.directory / "work"),
        "max_steps": run.horizon,
        "disable_tqdm": True,
        "report_to": "none",
        "push_to_hub": False,
    }
    if not run.apart:
        told["output_dir"] = session.spelled(session.place(0))
    if run.device == "cpu":
        told |= {"use_cpu": True, "no_cuda": True}
        if run.ranks > 1:
            told["ddp_backend"] = "gloo"
    names = {"accumulate": "gradient_accumulation_steps", "keep": "save_total_limit"}
    names |= {"batch_size": "per_device_train_batch_size"}
    told |= {name: knobs[knob] for knob, name in names.items() if knob in knobs}
    if "clip_norm" in knobs:
        told["max_grad_norm"] = knobs["clip_norm"] or 0.0
    if "workers" in knobs:
        told["dataloader_num_workers"] = knobs["workers"]
        if not knobs["workers"]:
            told |= {"dataloader_prefetch_factor": None, "dataloader_persistent_workers": False}
    if "precision" in knobs:
        told |= _precision(str(knobs["precision"]), run.device)
    told |= _strategies(session)
    if arguments.metric_for_best_model in _LOSSES:  # then what is better is the subject's to say
        told.pop("greater_is_better", None)
    known = {field.name for field in dataclasses.fields(arguments)}
    # Until 4.41 it had the longer name, and for a while both.
    every = "eval_strategy" if "eval_strategy" in known else "evaluation_strategy"
    told = {every if name == "eval_strategy" else name: value for name, value in told.items()}
    if "use_cpu" in known:
        told.pop("no_cuda", None)
    for name, value in told.items():
        if name in known:
            setattr(arguments, name, value)


def _precision(asked: str, device: str) -> dict[str, bool]:
    if asked == "fp16" and device == "cpu":
        raise UnableError("accelerate offers fp16 on accelerators only")
    return {"fp16": asked == "fp16", "bf16": asked == "bf16"}


def _strategies(session: Session) -> dict[str, Any]:
    """When it evaluates and saves, as far as the run says so."""
    knobs = session.knobs
    told: dict[str, Any] = {}
    evaluate, save = knobs.get("evaluate_every"), knobs.get("save_every")
    if "evaluate_every" in knobs:
        told |= {"eval_strategy": "steps" if evaluate else "no", "eval_steps": evaluate}
    if "save_every" in knobs:
        told |= {"save_strategy": "steps" if save else "no", "save_steps": save or 1}
    if knobs.get("keep_best"):
        # Saves and evaluations are asked for one by one; a strategy is needed to have a best one.
        told |= {"save_strategy": "steps", "save_steps": _NEVER, "metric_for_best_model": "loss"}
        told["greater_is_better"] = False
    if {"evaluate_every", "save_every", "keep_best"} & knobs.keys():
        # It wants both strategies equal; the last state is what a proof compares.
        told["load_best_model_at_end"] = False
    return told


def _led_by_metric(arguments: Any) -> bool:
    return str(getattr(arguments.lr_scheduler_type, "value", "")) in {
        "reduce_lr_on_plateau",
        "greedy",
    }


def _cited(trainer: Any, names: tuple[str, ...]) -> object:
    """The first of a class's methods that is not the library's own; the first of all if none."""
    found = [getattr(type(trainer), name, None) for name in names]
    own = (each for each in found if not _of_library(each))
    return next(own, found[0])


def _of_library(function: object) -> bool:
    return str(getattr(function, "__module__", LIBRARY)).partition(".")[0] == LIBRARY
