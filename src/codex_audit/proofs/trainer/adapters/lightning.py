"""Lightning's Trainer, of `lightning.pytorch` or `pytorch_lightning`, as it is.

The factory returns `(trainer, module)`, then what `trainer.fit` takes beside the module: training
and validation loaders, or a data module. What the trial sets goes through the Trainer's own
arguments as it is made: what a proof asks for wins over the factory's; what only keeps a trial
short and quiet, no progress bar and no logger, yields to it.
"""

from __future__ import annotations

import math
import sys
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves
from torch.utils.data import DataLoader

from codex_audit.proofs.trainer import loaders
from codex_audit.proofs.trainer.adapters.choosing import knobs_of
from codex_audit.proofs.trainer.lightning_arguments import arguments_of, part_of
from codex_audit.proofs.trainer.own_tensors import OwnTensors
from codex_audit.proofs.trainer.session import UnableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from codex_audit.proofs.trainer.session import Session

LIBRARY = ("lightning.pytorch", "pytorch_lightning")

_KNOBS = {"keep", *loaders.KNOBS}
_AUTOMATIC = {"accumulate", "clip_norm"}  # what a manual optimization does itself
_NEVER = 10**9
_ALONE, _ONE = "_codex_audit_alone", (1, "1", [0])  # whether the factory wants one device
_ENDING = ".ckpt"
# Where a proof's evidence may lie, in the order of looking: what the module's own class overrides.
_CITED = {
    "train": ("training_step",),
    "save": ("on_save_checkpoint", "training_step"),
    "load": ("on_load_checkpoint", "training_step"),
    "evaluate": ("validation_step",),
}


@contextmanager
def prepare(session: Session) -> Iterator[None]:
    """Let every Trainer and loader made meanwhile take the trial's settings."""
    with ExitStack() as around:
        around.enter_context(loaders.remade(session.knobs))
        for package in _packages():
            around.enter_context(_settled(package, session))
        yield


def adapt(made: Any, factory: Callable[..., Any], session: Session) -> _Driver | None:
    """A driver of `(trainer, module, *data)`.

    Raises:
        TypeError: there is a trainer, but not its module in second place.
    """
    parts = made if isinstance(made, tuple) else (made,)
    package = next((p for p in _packages() if parts and isinstance(parts[0], p.Trainer)), None)
    if package is None:
        return None
    if len(parts) == 1 or not isinstance(parts[1], package.LightningModule):
        given = type(parts[1]).__name__ if len(parts) > 1 else "nothing"
        raise TypeError(
            "the factory of a lightning Trainer returns (trainer, module), then its loaders or "
            f"data module unless the module has them; after the trainer came {given}"
        )
    return _Driver(package, parts, factory, session)


def _packages() -> list[Any]:
    return [sys.modules[name] for name in LIBRARY if name in sys.modules]


@contextmanager
def _settled(package: Any, session: Session) -> Iterator[None]:
    original = package.Trainer.__init__

    def initialised(trainer: Any, *args: Any, **kwargs: Any) -> None:
        original(trainer, *args, **arguments_of(package, session, kwargs))
        trainer.__dict__[_ALONE] = kwargs.get("devices") in _ONE

    package.Trainer.__init__ = initialised
    try:
        yield
    finally:
        package.Trainer.__init__ = original


class _Driver:
    def __init__(
        self, package: Any, parts: Any, factory: Callable[..., Any], session: Session
    ) -> None:
        self._trainer, self._module, *self._data = parts
        self._package = package
        self._session = session
        self._own = OwnTensors(SimpleNamespace(model=self._module), package.__name__.split(".")[0])
        evaluates = self._evaluates()
        self.knobs = (
            knobs_of(factory)
            | _KNOBS
            | (_AUTOMATIC if self._module.automatic_optimization else set())
            | ({"evaluate_every"} if evaluates else set())
            # On a CPU it quietly takes bf16 for fp16, so that no loss is scaled.
            | (set() if session.run.device == "cpu" else {"precision"})
        )
        able = {
            "distributed": self._divides(),
            "evaluate": evaluates,
            "extra": bool(self.extra()),
        }
        self.abilities = frozenset(name for name, has in able.items() if has)
        self.methods = {name: _cited(self._module, names) for name, names in _CITED.items()}
        self.methods["factory"] = factory

    def models(self) -> list[nn.Module]:
        """The LightningModule."""
        return [self._module]

    def extra(self) -> dict[str, Tensor]:
        """What callbacks and the module keep beside weights, and the callbacks' counters."""
        found = self._own.of("module", self._module)
        for callback in self._trainer.callbacks:
            if isinstance(callback, part_of(self._package, "callbacks").Checkpoint):
                continue  # it tells of files, which lie elsewhere in each process
            name = type(callback).__name__
            found |= self._own.of(name, callback)
            # A state is told anew each time it is asked for; what stays is what attributes hold.
            told, held = callback.state_dict(), vars(callback)
            counted = {key: held[key] for key in told if key in held}
            found |= self._own.numbers(name, counted)
            for key, value in held.items():
                if isinstance(value, Tensor):
                    found[f"{name}.{key}"] = value
                elif isinstance(value, nn.Module) and value is not self._module:
                    inner = value.state_dict()
                    found |= {f"{name}.{key}.{title}": each for title, each in inner.items()}
        return found

    def order(self) -> None:
        """The sampler tells."""

    def go(self) -> list[float]:
        """Fit, from the checkpoint if there is one; a last callback saves and ends it."""
        session, trainer = self._session, self._trainer
        self._fit_epochs()
        asking = type("Asking", (_Asking, self._package.Callback), {})(session)
        trainer.callbacks.append(asking)
        if "keep" in session.knobs:
            asking.keep_by(trainer.checkpoint_callback)
        _watch_evaluations(trainer, session)
        _tell_loaded(trainer, session)
        names = ("train_dataloaders", "val_dataloaders")
        data = dict(zip(names, self._data, strict=False))
        if self._data and isinstance(self._data[0], self._package.LightningDataModule):
            data = {"datamodule": self._data[0]}
        with loaders.remade(session.knobs):
            trainer.fit(self._module, **data, ckpt_path=_checkpoint(session))
        return []

    def _evaluates(self) -> bool:
        base = self._package.LightningModule
        if type(self._module).validation_step is base.validation_step:
            return False
        holders = (self._module, *self._data[:1])
        own = any(_overrides(holder, self._package) for holder in holders)
        return own or len(self._data) > 1

    def _divides(self) -> bool:
        """Whether the library promises each rank its own samples."""
        kinds = (DataLoader, self._package.LightningDataModule)
        own = not self._data or isinstance(self._data[0], kinds)
        return own and not vars(self._trainer).get(_ALONE)

    def _fit_epochs(self) -> None:
        """As many epochs as the horizon has, where the factory's Trainer counts epochs."""
        trainer = self._trainer
        length = getattr(type(self._data[0]), "__len__", None) if self._data else None
        if trainer.max_steps != -1 or length is None:
            return
        try:
            batches = length(self._data[0])
        except TypeError:  # a loader of an IterableDataset
            return
        steps = math.ceil(batches / trainer.accumulate_grad_batches)
        if steps:
            trainer.fit_loop.max_epochs = math.ceil(self._session.run.horizon / steps)


def _overrides(holder: Any, package: Any) -> bool:
    """Whether a module or data module has validation data of its own."""
    bases = (package.LightningModule, package.LightningDataModule)
    return any(
        isinstance(holder, base) and type(holder).val_dataloader is not base.val_dataloader
        for base in bases
    )


class _Asking:
    """A callback's part, the last of all, that saves where ModelCheckpoint would and ends a run."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._done = self._before = 0
        self._batch = ExitStack()
        self._keep: Callable[..., None] | None = None

    def keep_by(self, keeper: Any) -> None:
        """Let a ModelCheckpoint save and delete, only when it is asked to."""
        self._keep, load = keeper.on_train_batch_end, keeper.load_state_dict
        # A trial resumes from a copy of the directory; the files that it names lie there now.
        session = self._session
        place = keeper.dirpath.rstrip("/")
        if session.source is not None and not session.run.onward:
            place = str(session.source.resolve())
        keeper.load_state_dict = lambda told: load(_moved(told, told["dirpath"].rstrip("/"), place))
        for hook in ("on_train_batch_end", "on_train_epoch_end", "on_validation_end"):
            setattr(keeper, hook, lambda *_: None)

    def on_fit_start(self, trainer: Any, module: Any) -> None:
        del module
        if _several(trainer):  # whose steps max_steps would count, and we do not
            trainer.fit_loop.epoch_loop.max_steps = -1
        for callback in trainer.callbacks:
            if hasattr(callback, "patience") and not self._session.run.stops:
                callback.patience = _NEVER  # a trial says when a run ends

    def on_train_start(self, trainer: Any, module: Any) -> None:
        del module
        run, knobs = self._session.run, self._session.knobs
        self._done = self._before = self._made(trainer)
        for loader in tree_leaves(trainer.train_dataloader):
            loaders.require_obedience(loader, knobs)
        led = any(config.reduce_on_plateau for config in trainer.lr_scheduler_configs)
        if led and (run.evaluate_at or "evaluate_every" in knobs):
            raise UnableError("a metric leads the learning rate: evaluations are to change it")

    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        if _several(trainer):
            self._batch.enter_context(self._session.recorder.one_step())

    def on_train_batch_end(self, trainer: Any, *args: Any) -> None:
        self._batch.close()
        run, step = self._session.run, self._made(trainer)
        if step == self._done:  # inside an accumulation window
            return
        self._done = step
        if step in run.saves:
            with self._session.saving(step) as where:
                if self._keep is not None:
                    self._keep(trainer, *args)
                else:
                    trainer.save_checkpoint(str(where / f"step={step}{_ENDING}"))
        if step >= run.until:
            # As if max_steps had been reached; `should_stop` would evaluate once more.
            trainer.fit_loop.epoch_loop.max_steps = trainer.global_step

    def on_load_checkpoint(self, trainer: Any, _module: Any, checkpoint: Any) -> None:
        """A run that went on for longer may be resumed in a later epoch than there are."""
        loop, epoch = trainer.fit_loop, checkpoint.get("epoch", 0)
        if loop.max_epochs not in {None, -1}:
            loop.max_epochs = max(loop.max_epochs, epoch + 2)

    def on_train_epoch_end(self, trainer: Any, *_: Any) -> None:
        """Go on for another epoch where one made fewer steps than its batches promise."""
        made, loop = self._made(trainer), trainer.fit_loop
        last = loop.max_epochs is not None and trainer.current_epoch + 1 == loop.max_epochs
        if last and self._before < made < self._session.run.until:
            loop.max_epochs += 1
        self._before = made

    def _made(self, trainer: Any) -> int:
        """Steps in all: the trainer's own count, unless each batch has several."""
        if _several(trainer):
            return self._session.recorder.steps + (self._session.run.source_step or 0)
        made: int = trainer.global_step
        return made


def _moved(value: Any, old: str, new: str) -> Any:
    """A callback's state with the paths below one directory as they are below another."""
    if isinstance(value, dict):
        return {_moved(key, old, new): _moved(each, old, new) for key, each in value.items()}
    inside = isinstance(value, str) and value.startswith(old)
    return new + value.removeprefix(old) if inside else value


def _several(trainer: Any) -> bool:
    return len(trainer.optimizers) > 1


def _watch_evaluations(trainer: Any, session: Session) -> None:
    """Have a validation where one is asked for, and look before and after it."""
    asked = session.run.evaluate_at
    if not asked:
        return
    epoch_loop = trainer.fit_loop.epoch_loop
    validation = epoch_loop.val_loop
    run, should = validation.run, epoch_loop._should_check_val_fx  # noqa: SLF001 - nothing public

    def evaluated(*args: Any, **kwargs: Any) -> Any:
        if trainer.sanity_checking or trainer.global_step not in asked:
            return run(*args, **kwargs)
        with session.evaluating() as tell:
            result = run(*args, **kwargs)
            for name, value in trainer.callback_metrics.items():
                if "loss" in name and "train" not in name:
                    tell(float(value))
        return result

    def due(*args: Any, **kwargs: Any) -> bool:
        inside = epoch_loop._should_accumulate()  # noqa: SLF001 - as above
        wanted = trainer.global_step in asked and not inside and not epoch_loop.restarting
        return bool(should(*args, **kwargs)) or wanted

    validation.run = evaluated
    epoch_loop._should_check_val_fx = due  # noqa: SLF001 - as above


def _tell_loaded(trainer: Any, session: Session) -> None:
    """Tell when the library has restored all that it restores, before it fetches data."""
    connector = trainer._checkpoint_connector  # noqa: SLF001 - no hook comes so early
    original = connector.resume_end

    def resumed() -> None:
        original()
        if session.source is not None and session.loaded is None:
            session.has_loaded()

    connector.resume_end = resumed


def _checkpoint(session: Session) -> str | None:
    """What to resume from: the newest, as `ckpt_path="last"` would, of several."""
    found = list(session.source.rglob(f"*{_ENDING}")) if session.source else []
    return str(max(found, key=lambda path: path.stat().st_mtime_ns)) if found else None


def _cited(module: Any, names: tuple[str, ...]) -> object:
    """The first of the methods that the module's own class has; the first of all if none."""
    found = [getattr(type(module), name, None) for name in names]
    top = {name.partition(".")[0] for name in LIBRARY}
    own = (f for f in found if str(getattr(f, "__module__", "")).partition(".")[0] not in top)
    return next(own, found[0])
