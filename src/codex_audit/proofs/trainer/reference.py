"""The reference kit on trial: a task that uses everything a resume could lose.

Dropout, shuffling, samples of unequal length, a short last step in every epoch, evaluation in
between, early stopping, and augmentation that draws from Python's, NumPy's and torch's
generators. An epoch has seven steps, so an interruption rarely falls on its end.

Its settings are those that proofs may ask of any subject.
"""

from __future__ import annotations

import importlib
import random
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset

from codex_ml import seeding
from codex_ml.callbacks import EvaluationGate
from codex_ml.checkpoint import CheckpointStore
from codex_ml.data import ResumableLoader
from codex_ml.distributed import ShardedStore, process_group
from codex_ml.schedules import warmup_cosine
from codex_ml.training import Event, Trainer, TrainerConfig

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    Batch = tuple[Tensor, Tensor, Tensor, Tensor]

# The first optimizer would import this, seconds later: here it is done while a run still waits.
importlib.import_module("torch._dynamo")

_SAMPLES, _SYMBOLS, _WIDTH, _IGNORED = 26, 16, 24, -100
_BLANKED, _SHIFTED, _JITTER = 0.1, 0.1, 0.02
_HORIZON, _DROPOUT, _PATIENCE, _AVERAGE = 200, 0.1, 4, "average.safetensors"


class Sequences(Dataset["Batch"]):
    """Counting sequences of 4 to 12 symbols; the label of a symbol is the next one."""

    def __init__(self, device: str, *, augment: bool) -> None:
        self.device = device
        self.augment = augment

    def __len__(self) -> int:
        return _SAMPLES

    def __getitem__(self, index: int) -> Batch:
        length = 4 + index % 9
        tokens = (torch.arange(length) + index) % _SYMBOLS
        labels = (tokens + 1) % _SYMBOLS
        noise = torch.zeros(length, _WIDTH)
        if self.augment:
            noise = torch.randn(length, _WIDTH) * _JITTER
            if random.random() < _BLANKED:  # noqa: S311 - augmentation, not a secret
                tokens[random.randrange(length)] = 0  # noqa: S311 - as above
            if np.random.random() < _SHIFTED:  # noqa: NPY002 - the global generator is on trial
                labels[np.random.randint(length)] = _IGNORED  # noqa: NPY002 - as above
        return torch.tensor([index]), tokens, labels, noise


def collate(samples: list[Batch]) -> Batch:
    """Samples padded on the right to the longest: index (B, 1), tokens and labels (B, T), noise."""
    index, tokens, labels, noise = zip(*samples, strict=True)
    pad = nn.utils.rnn.pad_sequence
    return (
        torch.stack(index),
        pad(list(tokens), batch_first=True),
        pad(list(labels), batch_first=True, padding_value=_IGNORED),
        pad(list(noise), batch_first=True),
    )


class Model(nn.Module):
    """Predicts the next symbol from one symbol, through dropout."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(_SYMBOLS, _WIDTH)
        self.body = nn.Sequential(nn.Linear(_WIDTH, _WIDTH), nn.Tanh(), nn.Dropout(dropout))
        self.head = nn.Linear(_WIDTH, _SYMBOLS)

    def forward(self, tokens: Tensor, noise: Tensor) -> Tensor:
        """Logits (B, T, symbols) of tokens (B, T) with noise (B, T, width) on their embedding."""
        logits: Tensor = self.head(self.body(self.embedding(tokens) + noise))
        return logits


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What proofs may change of the reference subject; see the user guide for their meaning."""

    accumulate: int = 2
    batch_size: int = 2
    workers: int = 0
    clip_norm: float | None = 1.0
    evaluate_every: int | None = 5
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    dropout: bool = True
    keep: int | None = 3
    keep_best: bool = True
    ranks: int = 1


class ReferenceSubject:
    """`codex_ml`'s trainer as a subject."""

    def __init__(self, seed: int, device: str, settings: Settings) -> None:
        if device != "cpu":  # one thread of a CPU is deterministic; the switch costs seconds there
            seeding.deterministic()
        seeding.seed_everything(seed)
        self._order: dict[int, list[int]] = {}
        self._device = device
        self._settings = settings
        self._stores: dict[Path, CheckpointStore] = {}
        model: nn.Module = Model(_DROPOUT if settings.dropout else 0.0).to(device)
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
        rank = 0
        if settings.ranks > 1:
            self._joined = ExitStack()
            self._joined.enter_context(process_group())
            rank = torch.distributed.get_rank()
            model = nn.parallel.DistributedDataParallel(model)
            seeding.seed_everything(seed + rank)  # no two ranks drop or augment alike
        loader = ResumableLoader(
            Sequences(device, augment=settings.dropout),
            settings.batch_size,
            seed=seed,
            workers=settings.workers,
            collate=collate,
            rank=rank,
            world=settings.ranks,
        )
        held_out = Sequences(device, augment=False)
        self.trainer = Trainer(
            model,
            optimizer,
            self._loss,
            loader,
            TrainerConfig(
                accumulate=settings.accumulate,
                clip_norm=settings.clip_norm,
                evaluate_every=settings.evaluate_every,
                precision=settings.precision,
            ),
            schedule=warmup_cosine(4, _HORIZON),
            evaluation=[collate([held_out[index] for index in range(4)])],
            gate=EvaluationGate(patience=_PATIENCE),
            run_config={"seed": seed, "device": device},
        )
        named = self.trainer.model.named_parameters()
        self._average = {name: parameter.detach().clone() for name, parameter in named}
        self.trainer.on(Event.STEP, self._follow)

    def train(self, steps: int) -> list[float]:
        """Train until `steps` steps are done in all; the losses of those made now."""
        return self.trainer.train(steps)

    def save(self, directory: Path) -> None:
        """Write a checkpoint below `directory`."""
        self.trainer.save(self._store(directory))

    def load(self, directory: Path) -> None:
        """Go on from the newest checkpoint below `directory`."""
        found = self.trainer.load(self._store(directory))
        average = _safetensors().load_file(found.path / _AVERAGE)
        self._average = {name: tensor.to(self._device) for name, tensor in average.items()}

    def evaluate(self) -> float:
        """The mean loss over held-out samples."""
        return self.trainer.evaluate()["eval_loss"]

    def state(self) -> dict[str, Tensor]:
        """Weights, optimizer state, and the average of the weights."""
        names = [name for name, _ in self.trainer.model.named_parameters()]
        found = {f"model.{k}": v for k, v in self.trainer.model.state_dict().items()}
        slots: dict[int, dict[str, Any]] = self.trainer.optimizer.state_dict()["state"]
        for number, slot in slots.items():
            found |= {f"optimizer.{names[number]}.{key}": value for key, value in slot.items()}
        found |= {f"average.{name}": value for name, value in self._average.items()}
        return found

    def order(self) -> dict[int, list[int]]:
        """The samples of each step."""
        return self._order

    def _follow(self, trainer: Trainer[Batch]) -> None:
        """Move the average towards the weights."""
        for name, parameter in trainer.model.named_parameters():
            self._average[name].lerp_(parameter.detach(), 0.1)

    def _store(self, directory: Path) -> CheckpointStore:
        """One for each directory: it knows what it resumed from."""
        if directory not in self._stores:
            kind = ShardedStore if self._settings.ranks > 1 else CheckpointStore
            self._stores[directory] = kind(
                directory,
                keep_last=self._settings.keep,
                metric="eval_loss" if self._settings.keep_best else None,
                attach={_AVERAGE: lambda path: _safetensors().save_file(self._average, path)},
            )
        return self._stores[directory]

    def _loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, int]:
        index, tokens, labels, noise = (part.to(self._device) for part in batch)
        if model.training:
            seen = self._order.setdefault(self.trainer.step + 1, [])
            seen += index.flatten().tolist()
        loss = nn.functional.cross_entropy(
            model(tokens, noise).flatten(0, 1),
            labels.flatten(),
            ignore_index=_IGNORED,
            reduction="sum",
        )
        return loss, int((labels != _IGNORED).sum())


def create(  # noqa: PLR0913 - each parameter is a setting that proofs may ask for
    seed: int,
    device: str,
    directory: Path,
    *,
    accumulate: int = Settings.accumulate,
    batch_size: int = Settings.batch_size,
    workers: int = Settings.workers,
    clip_norm: float | None = Settings.clip_norm,
    evaluate_every: int | None = Settings.evaluate_every,
    precision: Literal["fp32", "bf16", "fp16"] = Settings.precision,
    dropout: bool = Settings.dropout,
    keep: int | None = Settings.keep,
    keep_best: bool = Settings.keep_best,
    ranks: int = Settings.ranks,
) -> ReferenceSubject:
    """The factory of the reference subject."""
    del directory  # each save and load names its own
    settings = Settings(
        accumulate=accumulate,
        batch_size=batch_size,
        workers=workers,
        clip_norm=clip_norm,
        evaluate_every=evaluate_every,
        precision=precision,
        dropout=dropout,
        keep=keep,
        keep_best=keep_best,
        ranks=ranks,
    )
    return ReferenceSubject(seed, device, settings)


def _safetensors() -> Any:
    """Imported late: it would be the first to fail where a directory shadows torch."""
    return importlib.import_module("safetensors.torch")
