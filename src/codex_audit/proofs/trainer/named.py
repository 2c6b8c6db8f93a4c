"""Names for what a subject trains: its modules are found, its optimizers kept in order."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from codex_audit.proofs.trainer.trace import Names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch.optim import Optimizer


class Named:
    """The modules and optimizers of a subject, known by and by; names depend on no address.

    Two processes must give one parameter one name, at whatever moment they are asked.
    """

    def __init__(self) -> None:
        self.models: list[nn.Module] = []
        self._numbers: WeakKeyDictionary[Optimizer, int] = WeakKeyDictionary()
        self._looked_for = 0

    def add(self, optimizer: Optimizer) -> None:
        """An optimizer was made, or makes a step."""
        self._numbers.setdefault(optimizer, len(self._numbers))

    def know(self, model: nn.Module) -> None:
        """Name parameters after `model`, which may never be called as a whole."""
        if not any(model is known for known in self.models):
            self.models.insert(0, model)

    def meet(self, module: nn.Module) -> None:
        """A module is called; before the first of them all that are trained are looked for."""
        self._look()
        within = (part is module for known in self.models for part in known.modules())
        if not any(within) and any(True for _ in module.parameters()):
            self.models.append(module)

    def renew(self, models: Sequence[nn.Module]) -> None:
        """Look for the models and optimizers again: loading may have made them anew."""
        if all(any(known is model for model in models) for known in self.models):
            return
        self.models = list(models)
        self._looked_for = 0
        gc.collect()  # optimizers that nobody holds any more
        own = {id(p) for model in models for p in model.parameters() if p.requires_grad}
        holds = {
            optimizer: {id(p) for group in optimizer.param_groups for p in group["params"]}
            for optimizer in self.optimizers()
        }
        kept = [optimizer for optimizer, held in holds.items() if held & own]
        if not own <= set[int]().union(*(holds[optimizer] for optimizer in kept)):
            kept = list(holds)  # an optimizer that goes on with parameters of no model is a fault
        self._numbers = WeakKeyDictionary({o: n for n, o in enumerate(kept)})

    def untrained(self) -> Names:
        """Parameters that are frozen, left out, or of no module."""
        given = {id(parameter) for parameter in self._given()}
        inside = {id(p) for model in self.models for p in model.parameters()}
        named = self.parameters().items()
        return Names(
            frozen=tuple(name for name, p in named if not p.requires_grad),
            omitted=tuple(name for name, p in named if p.requires_grad and id(p) not in given),
            held=tuple(name for name, p in named if not p.requires_grad and id(p) in given),
            orphans=tuple(name for name, p in named if id(p) not in inside),
        )

    def parameters(self) -> dict[str, nn.Parameter]:
        """Those of the modules, then those that only an optimizer was given."""
        found: dict[str, nn.Parameter] = {}
        seen: set[int] = set()
        for number, model in enumerate(self.models):
            prefix = f"model{number}." if number else ""
            for name, parameter in model.named_parameters():
                if id(parameter) not in seen:
                    seen.add(id(parameter))
                    found[prefix + name] = parameter
        for parameter in self._given():
            if id(parameter) not in seen:
                seen.add(id(parameter))
                found[f"parameter{len(found)}"] = parameter
        return found

    def buffers(self) -> dict[str, Tensor]:
        """Those of the modules."""
        found: dict[str, Tensor] = {}
        for number, model in enumerate(self.models):
            prefix = f"model{number}." if number else ""
            found |= {prefix + name: buffer for name, buffer in model.named_buffers()}
        return found

    def optimizer_state(self, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Every tensor and number that an optimizer keeps for a parameter."""
        names = {id(parameter): name for name, parameter in parameters.items()}
        found: dict[str, Tensor] = {}
        for optimizer in self.optimizers():
            for parameter, slots in getattr(optimizer, "state", {}).items():
                if not isinstance(slots, dict):
                    continue
                for key, value in slots.items():
                    name = f"{names.get(id(parameter), 'parameter')}.{key}"
                    if isinstance(value, Tensor):
                        found[name] = value
                    elif isinstance(value, int | float):
                        found[name] = torch.tensor(value, dtype=torch.float64)
        return dict(sorted(found.items()))

    def optimizers(self) -> list[Optimizer]:
        """Those that hold parameters themselves, in order; wrappers of others do not count."""
        own = [o for o in self._numbers if "param_groups" in o.__dict__]
        shapes = {o: [tuple(p.shape) for g in o.param_groups for p in g["params"]] for o in own}
        return sorted(own, key=lambda o: (shapes[o], self._numbers[o]))

    def _given(self) -> Iterator[nn.Parameter]:
        for optimizer in self.optimizers():
            for group in optimizer.param_groups:
                yield from group["params"]

    def _look(self) -> None:
        """Find the modules that hold what the optimizers were given, called or not."""
        given = {id(parameter): place for place, parameter in enumerate(self._given())}
        if len(given) == self._looked_for:
            return
        self._looked_for = len(given)
        known = {id(p) for model in self.models for p in model.parameters()}
        if given.keys() <= known:
            return
        alive = [each for each in gc.get_objects() if issubclass(type(each), nn.Module)]
        holding = [each for each in alive if any(id(p) in given for p in each.parameters())]
        inner = {id(part) for each in holding for part in each.modules() if part is not each}
        roots = [
            (min(given[id(p)] for p in each.parameters() if id(p) in given), each)
            for each in holding
            if id(each) not in inner
        ]
        for _, root in sorted(roots, key=lambda found: found[0]):
            if not any(root is model for model in self.models):
                self.models.append(root)
