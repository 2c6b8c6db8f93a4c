"""Several processes training one model: joining them, agreeing, and checkpoints in shards.

Start them with `torchrun --nproc-per-node N script.py`; in the script:

    with process_group() as device:
        model = DistributedDataParallel(Model().to(device))  # or fully_shard(model)
        Trainer(model, ..., store=ShardedStore(directory)).train(steps)

Sources: https://docs.pytorch.org/docs/stable/notes/ddp.html,
https://docs.pytorch.org/docs/stable/distributed.fsdp.fully_shard.html and
https://docs.pytorch.org/docs/stable/distributed.checkpoint.html.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from codex_ml.checkpoint import Checkpoint, CheckpointError, CheckpointStore, FormatError
from codex_ml.checkpoint_format import Tensors, Values, commit, plain, seal

B = TypeVar("B")
T = TypeVar("T")

_SHARED = "optimizer"  # of a state: its tensors are the model's, whatever the number of ranks
_TENSOR = "__tensor__"


class WorldSizeError(CheckpointError):
    """A checkpoint of another number of ranks, whose exact continuation was asked for."""


@contextmanager
def process_group() -> Iterator[torch.device]:
    """Join the processes that torchrun started, and give this one's device.

    NCCL where there is CUDA, gloo elsewhere. Without torchrun there is nothing to join.
    """
    device, backend = torch.device("cpu"), "gloo"
    if torch.cuda.is_available():
        device, backend = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))), "nccl"
        torch.cuda.set_device(device)
    if "RANK" not in os.environ:
        yield device
        return
    dist.init_process_group(backend)
    try:
        yield device
    finally:
        dist.destroy_process_group()


class Ranks:
    """The processes that train one model, or the one that does so alone.

    Attributes:
        model: the module itself, without its DistributedDataParallel.
        world, rank: how many there are, and which this is.
        replicated, sharded: whether torch averages gradients by DDP or by `fully_shard`.

    Raises:
        ValueError: there are several, and nothing would keep their weights the same.
    """

    def __init__(self, model: nn.Module) -> None:
        joined = dist.is_available() and dist.is_initialized()
        self.world = dist.get_world_size() if joined else 1
        self.rank = dist.get_rank() if joined else 0
        self.replicated = isinstance(model, nn.parallel.DistributedDataParallel)
        self.sharded = False
        self._wrapped = model
        self.model: nn.Module = model.module if self.replicated else model  # type: ignore[assignment]
        if joined:
            from torch.distributed.fsdp import FSDPModule  # noqa: PLC0415 - slow to import

            self.sharded = isinstance(model, FSDPModule)
        if self.world > 1 and not (self.replicated or self.sharded):
            raise ValueError(
                f"{self.world} processes would each train a model of its own; wrap it in "
                "DistributedDataParallel or call fully_shard on it"
            )
        self._device = next(model.parameters()).device

    def synchronized(self, *, last: bool) -> AbstractContextManager[None]:
        """For one batch: gradients are averaged over ranks only with the `last` of a step."""
        if self.sharded:
            self._wrapped.set_requires_gradient_sync(last)  # type: ignore[operator]
        elif self.replicated and not last:
            return self._wrapped.no_sync()  # type: ignore[operator,no-any-return]
        return nullcontext()

    def sum(self, *numbers: float) -> tuple[float, ...]:
        """Each number summed over ranks."""
        return numbers if self.world == 1 else self._reduce(numbers, dist.ReduceOp.SUM)

    def largest(self, number: int, batches: int) -> float:
        """The largest `number` of all ranks.

        Raises:
            ValueError: a rank has another number of `batches` in this step and would wait for ever.
        """
        if self.world == 1:
            return number
        most, longest, shortest = self._reduce((number, batches, -batches), dist.ReduceOp.MAX)
        if longest != -shortest:
            raise ValueError(
                f"rank {self.rank} has {batches} batches in this step, others from "
                f"{-shortest:.0f} to {longest:.0f}; give each rank as many batches an epoch"
            )
        return most

    def whole(self, norm: Tensor) -> Tensor:
        """The norm over all shards."""
        return norm.full_tensor() if self.sharded else norm  # type: ignore[attr-defined]

    def in_step(self, batches: Iterable[B]) -> Iterator[tuple[B, bool]]:
        """Batches, and whether each counts: a sharded model needs all ranks in each forward.

        A rank with fewer repeats its last.
        """
        if not (self.sharded and self.world > 1):
            yield from ((batch, True) for batch in batches)
            return
        source, last = iter(batches), None
        while True:
            found = next(source, None)
            (ranks,) = self.sum(found is not None)
            if not ranks:
                return
            last = last if found is None else found
            if last is None:
                raise ValueError(f"rank {self.rank} has no batch to evaluate; give it one")
            yield last, found is not None

    def _reduce(self, numbers: tuple[float, ...], how: Any) -> tuple[float, ...]:
        tensor = torch.tensor(numbers, dtype=torch.float64, device=self._device)
        dist.all_reduce(tensor, how)
        return tuple(tensor.tolist())


class ShardedStore(CheckpointStore):
    """A `CheckpointStore` that all ranks of a run write together, each its own part.

    Weights and the optimizer's tensors go through `torch.distributed.checkpoint` into shards in
    the safetensors format (torch's default format holds pickles), so another number of ranks
    can load them. The rest of the state, with the generators and the place in the data, is a
    file a rank. The directory must be one that all ranks see. Every method but `paths` is to be
    called on all ranks. Needs torch 2.8 or newer.

    Its arguments are those of `CheckpointStore`, but for `background`. What goes wrong on one rank
    is a CheckpointError on all.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.background:
            raise ValueError("a ShardedStore does not write in the background")

    def _save(self, step: int, weights: Tensors, state: Values, described: Values) -> Path:
        from torch.distributed.checkpoint import hf_storage  # noqa: PLC0415 - slow to import
        from torch.distributed.checkpoint.state_dict_saver import save  # noqa: PLC0415 - as above

        tensors: dict[str, Tensor] = {f"model.{name}": weights[name] for name in weights}
        own: dict[str, Any] = {"weights": list(weights)}

        def reference(tensor: Tensor, where: str) -> dict[str, Any]:
            tensors[where] = tensor
            placements = getattr(tensor, "placements", None)
            if placements is not None:  # the dimension that each dimension of the mesh divides
                placements = [p.dim if p.is_shard() else None for p in placements]
            shape, dtype = list(tensor.shape), tensor.dtype
            return {_TENSOR: where, "shape": shape, "dtype": dtype, "on": placements}

        def prepare() -> None:
            shared = plain(state.get(_SHARED), _SHARED, tensor=reference)
            own["state"] = plain({**state, _SHARED: shared})

        _together(prepare)
        rank, world = dist.get_rank(), dist.get_world_size()
        temporary, final, attached = _together(lambda: self._begin(step), only=0)[0]

        def write() -> dict[str, Any]:
            torch.save(own, temporary / _part(rank))
            # torch counts shards from 1; a rank without any tensor of its own writes none.
            shards = temporary.glob(f"shard-{rank + 1:05d}-*")
            names = [path.name for path in shards] + [_part(rank)] + (attached if rank == 0 else [])
            return {name: seal(temporary / name) for name in names}

        writer = hf_storage.HuggingFaceStorageWriter(str(temporary), save_distributed=True)
        _as_error(lambda: save(tensors, storage_writer=writer))
        sealed = _together(write)

        def finish() -> None:
            files = {name: file for part in sealed for name, file in part.items()}
            commit(temporary, final, {**described, "ranks": world, "files": files})
            self._prune(newest=final)

        _together(finish, only=0)
        return final

    def load(  # type: ignore[override]  # it needs to know how this run is sharded
        self, path: Path | None = None, *, like: Tensors, exact: bool = True
    ) -> Checkpoint:
        """Read and verify a checkpoint on all ranks; as `CheckpointStore.load`.

        Args:
            path: the checkpoint; the newest that is intact otherwise.
            like: the model's `state_dict()`, whose tensors are overwritten.
            exact: demand as many ranks as there were; otherwise the state lacks `rng`, which
                belongs to ranks.

        Raises:
            WorldSizeError: `exact`, and the number of ranks differs.
            FormatError: it is of another program, a later version, or one process alone.
            CheckpointError: there is none that is intact, or it is of another model.
        """
        from torch.distributed.checkpoint import hf_storage  # noqa: PLC0415 - slow to import
        from torch.distributed.checkpoint.state_dict_loader import load  # noqa: PLC0415 - as above

        rank, world = dist.get_rank(), dist.get_world_size()
        found, described, skipped = _together(lambda: self._find(path), only=0)[0]
        if "ranks" not in described:
            raise FormatError(f"{found}: written by one process; load it with CheckpointStore")
        if exact and described["ranks"] != world:
            raise WorldSizeError(
                f"{found}: written by {described['ranks']} ranks, and this run has {world}; resume "
                "with as many, or pass exact=False to go on with other random numbers"
            )
        part = _part(rank if exact else 0)
        own = torch.load(found / part, map_location="cpu", weights_only=True)
        if differing := sorted(set(own["weights"]) ^ set(like)):
            raise CheckpointError(f"{found}: of another model; {differing[0]!r} is only in one")
        tensors = {f"model.{name}": like[name] for name in like}
        state = own["state"]
        state[_SHARED] = _with_tensors(state[_SHARED], list(like.values()), tensors)
        reader = hf_storage.HuggingFaceStorageReader(str(found))
        _as_error(lambda: load(tensors, storage_reader=reader))
        if not exact:
            state.pop("rng", None)
        self._resumed_from = found.resolve()
        return Checkpoint(found, described["step"], dict(like), state, described, skipped)


def _with_tensors(value: Any, like: list[Tensor], tensors: dict[str, Tensor]) -> Any:
    """The reverse, with empty tensors divided over ranks as those of the model are."""
    if isinstance(value, dict) and _TENSOR in value:
        shape, dtype = value["shape"], value["dtype"]
        if value["on"] is None:
            made = torch.empty(shape, dtype=dtype)
        else:
            from torch.distributed import tensor as dt  # noqa: PLC0415 - slow to import

            meshes = [t.device_mesh for t in like if isinstance(t, dt.DTensor)]
            if not meshes:
                raise CheckpointError("the optimizer's state is sharded and this model is not")
            places = [dt.Replicate() if on is None else dt.Shard(on) for on in value["on"]]
            made = dt.empty(*shape, dtype=dtype, device_mesh=meshes[0], placements=places)
        tensors[value[_TENSOR]] = made
        return made
    if isinstance(value, dict):
        return {key: _with_tensors(item, like, tensors) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_with_tensors(item, like, tensors) for item in value)
    return value


def _together(act: Callable[[], T], *, only: int | None = None) -> list[T]:
    """What `act` returned on each rank, or on the `only` one; a failure anywhere fails all.

    Otherwise the ranks without a failure would wait for the one with it for ever.
    """
    outcome: tuple[T | None, Exception | None] = (None, None)
    if only is None or dist.get_rank() == only:
        try:
            outcome = (act(), None)
        except Exception as error:  # noqa: BLE001 - raised again below, on every rank
            outcome = (None, error)
    gathered: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(gathered, outcome)
    for rank, (_, failure) in enumerate(gathered):
        if isinstance(failure, CheckpointError | TypeError):
            raise failure
        if failure is not None:
            raise CheckpointError(f"rank {rank}: {type(failure).__name__}: {failure}") from failure
    return [result for result, _ in gathered]


def _as_error(act: Callable[[], object]) -> None:
    """Run a collective of torch's, whose error is no Exception and passes every `except` by."""
    from torch.distributed.checkpoint.api import CheckpointException  # noqa: PLC0415 - as above

    try:
        act()
    except CheckpointException as error:
        raise CheckpointError(str(error)) from error


def _part(rank: int) -> str:
    return f"rank-{rank:05d}.pt"
