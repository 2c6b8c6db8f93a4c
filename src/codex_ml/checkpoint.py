"""Checkpoints that survive crashes: written aside, hashed, renamed; verified when read.

A checkpoint is a directory `<sequence>-step-<step>` of three files: `weights.safetensors`,
`state.pt` (loadable with `weights_only=True`) and `manifest.json` with the SHA-256 of both; see
`codex_ml.checkpoint_format`. Formats: https://github.com/huggingface/safetensors and
https://docs.pytorch.org/docs/stable/notes/serialization.html#weights-only.
"""

from __future__ import annotations

import errno
import json
import logging
import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from codex_ml import checkpoint_format as disk
from codex_ml.checkpoint_format import CheckpointError, DamagedError, FormatError, Tensors, Values
from codex_ml.checks import Mode, at_least_one, one_of
from codex_ml.documents import as_json, fsync, numbers
from codex_ml.environment import config_hash, manifest

__all__ = ["Checkpoint", "CheckpointError", "CheckpointStore", "DamagedError", "FormatError"]

_NAME = re.compile(r"^(\d{6,})-step-(\d{8,})$")
_WEIGHTS, _STATE = "weights.safetensors", "state.pt"
_ALIASES = "aliases"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A verified checkpoint in memory; `skipped` says which newer ones were damaged, and how."""

    path: Path
    step: int
    weights: dict[str, Tensor]
    state: dict[str, Any]
    manifest: dict[str, Any]
    skipped: tuple[str, ...] = ()


@dataclass(eq=False)
class CheckpointStore:
    """The checkpoints of one run, in one directory that one process writes.

    Args:
        directory: made when the first checkpoint is saved. Nothing in it but checkpoints of
            this format is ever deleted.
        keep_last: how many of the newest to keep, at least 1; None keeps all.
        keep_best: how many of the best by `metric` to keep besides, at least 1.
        keep_every: keep besides each whose step is a multiple of this.
        metric: of those saved, the one that decides which is best; None keeps none for that.
        mode: whether a smaller ("min") or larger ("max") value is better.
        attach: what belongs to every checkpoint besides, a tokenizer for one: name in its
            directory -> what writes a file or directory of that name; verified like the rest.
        background: whether `save` returns as soon as it has copied everything to memory, which
            is kept for the next, and leaves the writing to threads; see `wait`.

    Attributes:
        best_by: metric and mode by which the best are kept; None where none is for that, or all.
    """

    directory: Path
    _: KW_ONLY
    keep_last: int | None = 3
    keep_best: int = 1
    keep_every: int | None = None
    metric: str | None = "eval_loss"
    mode: Mode = "min"
    attach: Mapping[str, Callable[[Path], object]] = field(default_factory=dict)
    background: bool = False

    def __post_init__(self) -> None:
        if self.keep_last is not None and self.keep_last < 1:
            raise ValueError(f"keep_last={self.keep_last}: keep at least one, or None for all")
        at_least_one(keep_best=self.keep_best, keep_every=self.keep_every)
        one_of(Mode, mode=self.mode)
        if taken := {disk.MANIFEST, _WEIGHTS, _STATE} & set(self.attach):
            raise ValueError(f"attach: {taken.pop()!r} is the checkpoint's own file")
        self.directory = Path(self.directory)
        best = self.metric and self.keep_last is not None
        self.best_by = (self.metric, self.mode) if best else None
        self._resumed_from: Path | None = None
        self._buffers = disk.Buffers() if self.background else None
        self._pool: ThreadPoolExecutor | None = None
        self._pending: Future[None] | None = None

    def paths(self) -> list[Path]:
        """All checkpoints, oldest first, in the order in which they were written."""
        if not self.directory.is_dir():
            return []
        found = [path for path in self.directory.iterdir() if _NAME.match(path.name)]
        return sorted(found, key=lambda path: int(path.name.split("-")[0]))

    def save(
        self,
        step: int,
        weights: Tensors,
        state: Values,
        *,
        metrics: Mapping[str, float] | None = None,
        config: Values | None = None,
    ) -> Path:
        """Write a checkpoint, then remove those that retention does not keep.

        Args:
            step: optimizer steps done.
            weights: tensors by name, on any device; tied tensors are written once.
            state: the rest; only what `torch.load(weights_only=True)` reads.
            metrics: for the manifest; `metric` of the store is looked up here.
            config: the run's configuration as JSON values, for the hash in the manifest.

        Returns:
            The directory under its final name; in the background it is there after `wait`.

        Raises:
            OSError: it cannot be written, or the one before it could not in the background;
                what was there before is untouched.
            TypeError: `state` holds something that could not be loaded again.
        """
        self.wait()
        described = {
            "step": step,
            "metrics": as_json(numbers(metrics or {})),
            "config_hash": config_hash(config) if config is not None else None,
            "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
            "saved_at": time.time(),
            **manifest(),
        }
        return self._save(step, weights, state, described)

    def _save(self, step: int, weights: Tensors, state: Values, described: Values) -> Path:
        copied = disk.itself if self._buffers is None else self._buffers.copy_of
        checked = disk.plain(state, tensor=copied)
        tensors, aliases = _untie(weights, self._buffers)
        temporary, final, attached = self._begin(step)
        # Threads, as hashing takes longest and runs outside the interpreter's lock. All is
        # handed over here: at its end the interpreter finishes what is queued, and takes no more.
        pool = self._pool = self._pool or ThreadPoolExecutor(2, thread_name_prefix="checkpoint")
        meta = {_ALIASES: json.dumps(aliases)}
        written = {
            _STATE: pool.submit(_write, temporary / _STATE, torch.save, checked),
            _WEIGHTS: pool.submit(_write, temporary / _WEIGHTS, save_file, tensors, metadata=meta),
            **{part: pool.submit(disk.seal, temporary / part) for part in attached},
        }

        def finish() -> None:
            wait(written.values())  # also after a failure: nothing may still be written later
            try:
                files = {part: future.result() for part, future in written.items()}
                disk.commit(temporary, final, {**described, "files": files})
                self._prune(newest=final)
            except BaseException as error:  # in the background nobody may wait for it any more
                _log.error("checkpoint not written: %s: %s", type(error).__name__, error)
                raise

        self._pending = pool.submit(finish)
        if self._buffers is None:
            self.wait()
        return final

    def wait(self) -> None:
        """Return when what `save` has begun is on the disk; the interpreter's end waits too.

        Raises:
            OSError: it could not be written.
        """
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def load(self, path: Path | None = None) -> Checkpoint:
        """Read and verify a checkpoint onto the CPU: that at `path`, or the newest intact one.

        Raises:
            FormatError: the one to read is of another program or a later version.
            DamagedError: the one at `path` is damaged.
            CheckpointError: there is none, or none that is intact; the message lists why.
        """
        self.wait()
        found, described, skipped = self._find(path)
        if "ranks" in described:
            raise FormatError(f"{found}: written by {described['ranks']} ranks; use a ShardedStore")
        weights = _read_weights(found / _WEIGHTS)
        state = torch.load(found / _STATE, map_location="cpu", weights_only=True)
        self._resumed_from = found.resolve()
        return Checkpoint(found, described["step"], weights, state, described, skipped)

    def _find(self, path: Path | None) -> tuple[Path, dict[str, Any], tuple[str, ...]]:
        """The checkpoint to load, its verified manifest, and what was passed over."""
        if path is not None:
            return path, disk.verify(path), ()
        skipped: list[str] = []
        for candidate in reversed(self.paths()):
            try:
                return candidate, disk.verify(candidate), tuple(skipped)
            except DamagedError as error:
                _log.warning("checkpoint passed over: %s", error)
                skipped.append(str(error))
        why = "; ".join(skipped) or "it holds none"
        raise CheckpointError(f"{self.directory}: no intact checkpoint ({why})")

    def _begin(self, step: int) -> tuple[Path, Path, list[str]]:
        """A directory to write to, the name that it shall get, and what is attached in it."""
        if not self.directory.is_dir():
            self.directory.mkdir(parents=True)
            fsync(self.directory.parent)
        # Of a process that was killed while it wrote or deleted.
        left = (disk.WRITING, disk.DELETING)
        disk.remove([path for path in self.directory.iterdir() if path.name.startswith(left)])
        paths = self.paths()
        sequence = int(paths[-1].name.split("-")[0]) + 1 if paths else 1
        final = self.directory / f"{sequence:06d}-step-{step:08d}"
        temporary = self.directory / (disk.WRITING + final.name)
        temporary.mkdir()
        for part, write in self.attach.items():
            write(temporary / part)
        attached = sorted(path for path in temporary.rglob("*") if path.is_file())
        return temporary, final, [path.relative_to(temporary).as_posix() for path in attached]

    def _prune(self, newest: Path) -> None:
        """Remove what is not kept. `newest` was just written and hashed, so one stays intact.

        What is not whole, or not ours, neither counts as kept nor is it deleted.
        """
        if self.keep_last is None:
            return
        whole = {path: found for path in self.paths() if (found := disk.manifest_if_whole(path))}
        kept = {newest, *list(whole)[-self.keep_last :]}
        kept |= {path for path in whole if path.resolve() == self._resumed_from}
        if every := self.keep_every:
            kept |= {path for path, found in whole.items() if found["step"] % every == 0}
        values = {path: found["metrics"].get(self.metric) for path, found in whole.items()}
        numbers = [path for path, value in values.items() if isinstance(value, int | float)]
        sign = -1 if self.mode == "max" else 1
        kept |= {*sorted(numbers, key=lambda path: sign * values[path])[: self.keep_best]}
        disk.remove(whole.keys() - kept)


def _write(path: Path, write: Callable[..., None], what: Any, **options: Any) -> dict[str, Any]:
    try:
        write(what, path, **options)
    except (RuntimeError, SafetensorError) as error:  # as torch and safetensors call a full disk
        raise OSError(errno.EIO, f"cannot be written ({error})", str(path)) from error
    return disk.seal(path)


def _untie(weights: Tensors, buffers: disk.Buffers | None) -> tuple[Tensors, dict[str, str]]:
    """Contiguous CPU tensors, and for each tied name the name that holds its bytes."""
    tensors: dict[str, Tensor] = {}
    aliases: dict[str, str] = {}
    first: dict[tuple[Any, ...], str] = {}
    storages: set[int] = set()
    for name, tensor in weights.items():
        same = (tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride())
        if (source := first.setdefault(same, name)) != name and tensor.numel():
            aliases[name] = source
            continue
        storage = tensor.untyped_storage().data_ptr()
        if buffers is not None:
            tensors[name] = buffers.copy_of(tensor, name)
        else:
            # safetensors refuses tensors that overlap without being equal, so these are copied.
            copied = tensor.detach().to("cpu", copy=storage in storages)
            tensors[name] = copied.contiguous()
        storages.add(storage)
    return tensors, aliases


def _read_weights(path: Path) -> dict[str, Tensor]:
    with safe_open(path, framework="pt") as stream:
        weights = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 - no mapping
        aliases = json.loads(stream.metadata()[_ALIASES])
    return weights | {name: weights[source] for name, source in aliases.items()}
