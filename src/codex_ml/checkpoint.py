"""Checkpoints that survive crashes: written aside, hashed, renamed; verified when read.

A checkpoint is a directory `<sequence>-step-<step>` of three files: `weights.safetensors`,
`state.pt` (loadable with `weights_only=True`) and `manifest.json` with the SHA-256 of both.
It is written under a temporary name and renamed when every byte is on the disk, so a
checkpoint that has its final name is whole (Pillai et al., "All File Systems Are Not Created
Equal", OSDI 2014). Formats: https://github.com/huggingface/safetensors and
https://docs.pytorch.org/docs/stable/notes/serialization.html#weights-only.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from codex_ml.environment import config_hash, manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

FORMAT = "codex-ml-checkpoint"
FORMAT_VERSION = 1

_NAME = re.compile(r"^(\d{6,})-step-(\d{8,})$")
_MANIFEST, _WEIGHTS, _STATE = "manifest.json", "weights.safetensors", "state.pt"
_ALIASES = "aliases"
_log = logging.getLogger(__name__)


class CheckpointError(RuntimeError):
    """There is no checkpoint to load; the message says what was found and why not that."""


class DamagedError(CheckpointError):
    """A checkpoint that is not what was written: a file is missing or its hash differs."""


class FormatError(CheckpointError):
    """A checkpoint of another program or of a later version of this one."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A verified checkpoint in memory. `skipped` says which newer ones were damaged, and how."""

    path: Path
    step: int
    weights: dict[str, Tensor]
    state: dict[str, Any]
    manifest: dict[str, Any]
    skipped: tuple[str, ...] = ()


class CheckpointStore:
    """The checkpoints of one run, in one directory that one process writes.

    Args:
        directory: made when the first checkpoint is saved. Nothing in it but checkpoints of
            this format is ever deleted.
        keep_last: how many of the newest to keep, at least 1; None keeps all.
        keep_best: how many of the best by `metric` to keep besides.
        metric: the name among the saved metrics that decides which is best.
        mode: whether a smaller ("min") or larger ("max") value is better.
        attach: what belongs to every checkpoint besides, a tokenizer for one: name in its
            directory -> what writes a file or directory of that name; hashed and verified
            like the rest.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        keep_last: int | None = 3,
        keep_best: int = 1,
        metric: str | None = None,
        mode: Literal["min", "max"] = "min",
        attach: Mapping[str, Callable[[Path], object]] | None = None,
    ) -> None:
        if keep_last is not None and keep_last < 1:
            raise ValueError(
                f"keep_last={keep_last}: keep at least one checkpoint, or None for all"
            )
        taken = {_MANIFEST, _WEIGHTS, _STATE} & set(attach or {})
        if taken:
            raise ValueError(f"attach: {taken.pop()!r} is the checkpoint's own file")
        self.directory = Path(directory)
        self._attach = dict(attach or {})
        self._keep_last = keep_last
        self._keep_best = keep_best if metric else 0
        self._metric = metric
        self._sign = 1.0 if mode == "min" else -1.0
        self._resumed_from: Path | None = None

    def paths(self) -> list[Path]:
        """All checkpoints, oldest first, in the order in which they were written."""
        if not self.directory.is_dir():
            return []
        found = [path for path in self.directory.iterdir() if _NAME.match(path.name)]
        return sorted(found, key=lambda path: int(path.name.split("-")[0]))

    def save(
        self,
        step: int,
        weights: Mapping[str, Tensor],
        state: Mapping[str, Any],
        *,
        metrics: Mapping[str, float] | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> Path:
        """Write a checkpoint, then remove those that retention does not keep.

        Args:
            step: optimizer steps done.
            weights: tensors by name, on any device; tied tensors are written once.
            state: the rest; only what `torch.load(weights_only=True)` reads.
            metrics: kept in the manifest; `metric` of the store is looked up here.
            config: the run's configuration as JSON values; its hash goes into the manifest.

        Returns:
            The directory under its final name.

        Raises:
            OSError: it cannot be written; what was there before is untouched.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        for leftover in self.directory.glob(".writing-*"):
            shutil.rmtree(leftover)  # of a process that was killed while it wrote
        paths = self.paths()
        sequence = int(paths[-1].name.split("-")[0]) + 1 if paths else 1
        name = f"{sequence:06d}-step-{step:08d}"
        temporary = self.directory / f".writing-{name}"
        temporary.mkdir()
        tensors, aliases = _untie(weights)
        save_file(tensors, temporary / _WEIGHTS, metadata={_ALIASES: json.dumps(aliases)})
        torch.save(dict(state), temporary / _STATE)
        for part, write in self._attach.items():
            write(temporary / part)
        parts = sorted(path for path in temporary.rglob("*") if path.is_file())
        described = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "step": step,
            "metrics": dict(metrics or {}),
            "config_hash": config_hash(config) if config is not None else None,
            "device": _device(),
            "saved_at": time.time(),
            **manifest(),
            "files": {path.relative_to(temporary).as_posix(): _sha256(path) for path in parts},
        }
        text = json.dumps(described, indent=2, sort_keys=True)
        (temporary / _MANIFEST).write_text(text + "\n", encoding="utf-8")
        for path in (*temporary.rglob("*"), temporary):
            _fsync(path)
        final = self.directory / name
        temporary.rename(final)
        _fsync(self.directory)
        self._prune(newest=final)
        return final

    def load(self, path: Path | None = None, *, map_location: str = "cpu") -> Checkpoint:
        """Read and verify a checkpoint: that at `path`, or the newest that is intact.

        Raises:
            FormatError: the one to read is of another program or a later version.
            DamagedError: the one at `path` is damaged.
            CheckpointError: there is none, or none that is intact; the message lists why.
        """
        skipped: list[str] = []
        for candidate in [path] if path else reversed(self.paths()):
            try:
                found = _read(candidate, map_location)
            except DamagedError as error:
                if path:
                    raise
                _log.warning("checkpoint passed over: %s", error)
                skipped.append(str(error))
                continue
            self._resumed_from = found.path
            return Checkpoint(
                found.path, found.step, found.weights, found.state, found.manifest, tuple(skipped)
            )
        why = "; ".join(skipped) or "it holds none"
        raise CheckpointError(f"{self.directory}: no intact checkpoint ({why})")

    def _prune(self, newest: Path) -> None:
        """Remove what is not kept. `newest` was just written and hashed, so one stays intact."""
        if self._keep_last is None:
            return
        paths = self.paths()
        kept = {newest, *paths[-self._keep_last :]}
        kept |= {path for path in paths if path == self._resumed_from}
        ranked = sorted((score, path) for path in paths if (score := self._score(path)) is not None)
        kept |= {path for _, path in ranked[: self._keep_best]}
        for path in paths:
            # A directory whose manifest is not ours was not written here: leave it alone.
            if path not in kept and _is_ours(path):
                shutil.rmtree(path)

    def _score(self, path: Path) -> float | None:
        try:
            value = _manifest(path)["metrics"].get(self._metric)
        except CheckpointError:
            return None
        if not isinstance(value, int | float) or math.isnan(value):
            return None
        return self._sign * value


def _untie(weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Contiguous CPU tensors, and for each tied name the name that holds its bytes."""
    tensors: dict[str, Tensor] = {}
    aliases: dict[str, str] = {}
    first: dict[tuple[Any, ...], str] = {}
    for name, tensor in weights.items():
        same = (tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride())
        if tensor.numel() and same in first:
            aliases[name] = first[same]
            continue
        first[same] = name
        # A copy: tensors that overlap without being equal would be refused by safetensors.
        tensors[name] = tensor.detach().to("cpu", copy=True).contiguous()
    return tensors, aliases


def _read(path: Path, map_location: str) -> Checkpoint:
    described = _manifest(path)
    for part, expected in described["files"].items():
        try:
            actual = _sha256(path / part)
        except OSError as error:
            raise DamagedError(f"{path}: {part} cannot be read ({error.strerror})") from error
        if actual != expected:
            raise DamagedError(f"{path}: {part} does not have the SHA-256 of the manifest")
    weights: dict[str, Tensor] = {}
    try:
        with safe_open(path / _WEIGHTS, framework="pt", device=map_location) as stream:
            for name in stream.keys():  # noqa: SIM118 - not a mapping
                weights[name] = stream.get_tensor(name)
            aliases = json.loads((stream.metadata() or {}).get(_ALIASES, "{}"))
    except SafetensorError as error:
        raise DamagedError(f"{path}: {_WEIGHTS} cannot be read ({error})") from error
    weights |= {name: weights[source] for name, source in aliases.items()}
    state = torch.load(path / _STATE, map_location=map_location, weights_only=True)
    return Checkpoint(path, described["step"], weights, state, described)


def _manifest(path: Path) -> dict[str, Any]:
    try:
        described = json.loads((path / _MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DamagedError(f"{path}: {_MANIFEST} cannot be read ({error})") from error
    if not isinstance(described, dict) or described.get("format") != FORMAT:
        raise FormatError(f"{path}: not a {FORMAT}; load it with the program that wrote it")
    if described.get("format_version") != FORMAT_VERSION:
        raise FormatError(
            f"{path}: format version {described.get('format_version')}, and this version reads "
            f"{FORMAT_VERSION}; load it with the codex_ml that wrote it"
        )
    return described


def _is_ours(path: Path) -> bool:
    try:
        _manifest(path)
    except FormatError:
        return False
    except DamagedError:
        return True
    return True


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _device() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
