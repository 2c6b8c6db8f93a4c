"""What a proof changes in a process: dropout that drops nothing, outputs that are no numbers."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import MutableMapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._pytree import tree_map

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_WORSE = 100.0
_DROPS = (
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "alpha_dropout",
    "feature_alpha_dropout",
)


def still_dropout() -> None:
    """Let every dropout of torch drop nothing, so that no mask is drawn."""
    for name in _DROPS:
        setattr(functional, name, _without(getattr(functional, name), "p", 0.0))
    attention = functional.scaled_dot_product_attention

    def attend(query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        kept = list(args)
        if len(kept) > 1:  # after the mask, before is_causal
            kept[1] = 0.0
        kwargs.pop("dropout_p", None)
        result: Tensor = attention(query, key, value, *kept, **kwargs)
        return result

    functional.scaled_dot_product_attention = attend


@contextmanager
def dropouts_seen() -> Iterator[list[str]]:
    """Which functions of torch drop something meanwhile, each time that one does."""
    seen: list[str] = []
    attend, name = functional.scaled_dot_product_attention, "scaled_dot_product_attention"
    originals = {drop: getattr(functional, drop) for drop in _DROPS}

    def attending(query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if kwargs.get("dropout_p", args[1] if len(args) > 1 else 0.0):  # after the mask
            seen.append(name)
        return attend(query, key, value, *args, **kwargs)

    for drop, original in originals.items():
        setattr(functional, drop, _telling(original, drop, seen))
    functional.scaled_dot_product_attention = attending
    try:
        yield seen
    finally:
        for drop, original in originals.items():
            setattr(functional, drop, original)
        functional.scaled_dot_product_attention = attend


def _telling(function: Callable[..., Any], name: str, seen: list[str]) -> Callable[..., Any]:
    signature = inspect.signature(function)

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs)
        given.apply_defaults()
        if given.arguments["training"] and given.arguments["p"]:
            seen.append(name)
        return function(*args, **kwargs)

    return called


def _without(function: Callable[..., Any], name: str, value: float) -> Callable[..., Any]:
    signature = inspect.signature(function)

    def called(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        bound.arguments[name] = value
        return function(*bound.args, **bound.kwargs)

    return called


def poisoned(output: Any) -> Any:
    """A module's output with every number in it NaN."""
    return _changed(output, lambda tensor: tensor * float("nan"))


def worsened(output: Any) -> Any:
    """A module's output, so that what is computed of it is worse.

    A loss grows, and logits speak against themselves.
    """
    return _changed(output, lambda t: t + _WORSE if t.numel() == 1 else -t)


def _changed(output: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """With every floating tensor changed, also in classes that torch's trees do not know."""

    def changed(leaf: Any) -> Any:
        if isinstance(leaf, Tensor):
            return change(leaf) if leaf.is_floating_point() else leaf
        if isinstance(leaf, MutableMapping):  # whose attributes may follow its items
            for name, value in list(leaf.items()):
                leaf[name] = _changed(value, change)
            return leaf
        if not hasattr(leaf, "__dict__") or isinstance(leaf, type):
            return leaf
        parts = {name: value for name, value in vars(leaf).items() if isinstance(value, Tensor)}
        whole = copy.copy(leaf) if parts else leaf
        for name, value in parts.items():
            object.__setattr__(whole, name, changed(value))
        return whole

    return tree_map(changed, output)


def turn_gradients() -> None:
    """Let every backward pass give its gradients with the other sign."""
    original = torch.autograd.backward

    def backward(tensors: Any, *args: Any, **kwargs: Any) -> Any:
        several = [tensors] if isinstance(tensors, Tensor) else list(tensors)
        given = kwargs.pop("grad_tensors", None) if not args else args[0]
        weights = [given] if isinstance(given, Tensor) else given or [None] * len(several)
        pairs = zip(several, weights, strict=True)
        turned = [-(torch.ones_like(t) if w is None else w) for t, w in pairs]
        return original(several, turned, *args[1:], **kwargs)

    torch.autograd.backward = backward


def own_gradients(tensors: Any, weights: Any, parameters: list[Tensor]) -> list[Tensor | None]:
    """The gradients that a backward pass is about to give, taken apart from it.

    Raises:
        RuntimeError: the graph allows no second pass, as with re-entrant checkpointing.
    """
    return list(
        torch.autograd.grad(
            tensors, parameters, grad_outputs=weights, retain_graph=True, allow_unused=True
        )
    )
