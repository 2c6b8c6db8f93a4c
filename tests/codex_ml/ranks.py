"""What each rank of the tests in test_distributed does: `torchrun ranks.py DIRECTORY PART`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from test_training import WIDTH, Fixed, Rows, loss
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from codex_ml import distributed, seeding
from codex_ml.checkpoint import CheckpointError, CheckpointStore
from codex_ml.data import ResumableLoader
from codex_ml.distributed import ShardedStore, process_group
from codex_ml.training import Event, Trainer, TrainerConfig

KINDS = {"ddp": DistributedDataParallel, "fsdp": fully_shard}
STEPS, SAVED_AT = 7, 2  # an epoch has 2 steps and a half


class Running(nn.Module):
    """Adds a mean of the rows that this rank has seen, as a batch norm has one."""

    seen: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        self.seen.lerp_(x.detach().mean(dim=0), 0.5)
        return x + self.seen


def body(dropout: float = 0.2, *last: nn.Module) -> nn.Module:
    seeding.seed_everything(3)
    return nn.Sequential(
        nn.Linear(WIDTH, 5), nn.Tanh(), nn.Dropout(dropout), nn.Linear(5, WIDTH), *last
    )  # fmt: skip


def make(kind: str, *last: nn.Module, dropout: float = 0.2, **options: Any) -> Trainer[Any]:
    """A run whose ranks share the rows, and draw numbers of their own."""
    model = KINDS[kind](body(dropout, *last))  # type: ignore[operator]
    rank, world = dist.get_rank(), dist.get_world_size()
    seeding.seed_everything(100 + rank)
    options.setdefault("loader", ResumableLoader(Rows(), 1, seed=1, rank=rank, world=world))
    config = options.pop("config", TrainerConfig(accumulate=2, clip_norm=0.5))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
    return Trainer(model, optimizer, loss, config=config, **options)


def full(trainer: Trainer[Any]) -> dict[str, Tensor]:
    """Weights and the optimizer's moments, whole on every rank."""
    found = dict(trainer.model.state_dict())
    for number, slots in trainer.optimizer.state_dict()["state"].items():
        found |= {f"{number}.{name}": value for name, value in slots.items()}
    return {k: v.full_tensor() if isinstance(v, DTensor) else v.clone() for k, v in found.items()}


def result(trainer: Trainer[Any], losses: list[float]) -> dict[str, Any]:
    return {"losses": losses, "draw": torch.rand(3), "state": full(trainer)}


def store(directory: Path, kind: str) -> ShardedStore:
    return ShardedStore(directory / kind, keep_last=2)


def straight(directory: Path, kind: str) -> None:
    """Uninterrupted; then as far as a checkpoint, and past it."""
    trainer = make(kind, Running())
    losses = trainer.train(STEPS)
    torch.save(result(trainer, losses), directory / f"{kind}-straight-{dist.get_rank()}.pt")
    first = make(kind, Running())
    losses = first.train(SAVED_AT)
    first.save(store(directory, kind))
    torch.save(losses, directory / f"{kind}-first-{dist.get_rank()}.pt")


def resumed(directory: Path, kind: str) -> None:
    trainer = make(kind, Running())
    torch.rand(7)
    assert trainer.load(store(directory, kind)).step == SAVED_AT
    losses = trainer.train(STEPS)
    torch.save(result(trainer, losses), directory / f"{kind}-resumed-{dist.get_rank()}.pt")


def one_batch(directory: Path, kind: str) -> None:
    """Ten rows divided unequally over ranks and batches: one step, and its evaluation."""
    rank = dist.get_rank()
    samples = [Rows()[index] for index in range(10)]
    parts = [[0, 1, 2], [3]] if rank == 0 else [[4, 5], [6, 7, 8, 9]]
    batches: list[Any] = [
        tuple(torch.stack(part) for part in zip(*(samples[i] for i in part), strict=True))
        for part in parts
    ]
    evaluation = batches if rank == 0 else batches[:1]
    config = TrainerConfig(accumulate=2, clip_norm=0.5)
    trainer = make(kind, dropout=0.0, loader=Fixed(batches), config=config, evaluation=evaluation)
    evaluated = trainer.evaluate()
    losses = trainer.train(1)
    found = {**result(trainer, losses), **evaluated}
    torch.save(found, directory / f"{kind}-one-{rank}.pt")


def refusals(directory: Path) -> None:
    """What must fail must fail on every rank, and none may wait for another."""
    rank = dist.get_rank()
    said = []

    def says(act: Any) -> None:
        try:
            act()
        except (ValueError, CheckpointError, TypeError) as error:
            said.append(f"{type(error).__name__}: {error}")
        else:
            said.append("nothing")

    says(lambda: Trainer(body(), torch.optim.SGD(body().parameters()), loss, Fixed([])))
    says(lambda: make("fsdp", config=TrainerConfig(precision="fp16")))
    says(lambda: make("ddp").save(CheckpointStore(directory / "own")))
    uneven = [tuple(part[None] for part in Rows()[0])] * (1 + rank)
    says(lambda: make("ddp", loader=Fixed(uneven)).train(1))
    bad: Any = {"optimizer": {}, "bad": Path() if rank == 1 else 0}
    says(lambda: store(directory, "bad").save(1, {"w": torch.ones(1)}, bad))
    says(lambda: store(directory, "bad").load(like={}))
    says(lambda: store(directory, "ddp").load(like={"other": torch.ones(1)}))
    torch.save(said, directory / f"said-{rank}.pt")


def terminated(directory: Path) -> None:
    """Only rank 1 gets the signal; both must stop at the same step, with a checkpoint."""
    trainer = make("ddp", store=store(directory, "terminated"))

    def terminate(subject: Trainer[Any]) -> None:
        if subject.step == 2 and dist.get_rank() == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    trainer.on(Event.STEP, terminate)
    torch.save(len(trainer.train(20)), directory / f"terminated-{dist.get_rank()}.pt")


def killed(directory: Path) -> None:
    """Rank 1 dies with its shard written and nothing agreed; whoever is left ends with an error."""
    kept = store(directory, "killed")
    trainer = make("fsdp")
    trainer.train(1)
    trainer.save(kept)
    trainer.train(2)
    if dist.get_rank() == 1:
        die: Any = lambda _: os.kill(os.getpid(), signal.SIGKILL)  # noqa: E731
        setattr(distributed, "seal", die)  # noqa: B010 - not exported
    trainer.save(kept)


def main() -> None:
    torch.set_num_threads(1)
    directory, part = Path(sys.argv[1]), sys.argv[2]
    with process_group():
        for kind in KINDS:
            if part == "first":
                straight(directory, kind)
                one_batch(directory, kind)
            else:
                resumed(directory, kind)
        if part == "first":
            refusals(directory)
            terminated(directory)
        else:
            killed(directory)


if __name__ == "__main__":
    main()
