"""What a trainer must offer to stand trial, and how the audited repository names its own.

In `pyproject.toml`:

    [tool.codex-audit.trainer]
    factory = "package.module:function"

`function(seed, device, directory)` returns a `Subject`: a small training run, ready to start.
It seeds whatever draws random numbers, with `seed`; it is called anew in every process, also
in the one that resumes.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

METHODS = ("train", "save", "load", "state")


class Subject(Protocol):
    """A training run on trial.

    Two more members are used where they exist: `order()` gives the samples that each step
    trained on, a mapping from the step (from 1) to a list of integers; `trainer` is the object
    whose methods evidence should cite, if not this one.
    """

    def train(self, steps: int) -> Sequence[float]:
        """Train until `steps` optimizer steps are done since the run's first start.

        Returns:
            The loss of each step that this call made; none of those before a resume.
        """
        ...

    def save(self, directory: Path) -> None:
        """Write all that is needed to go on into `directory`."""
        ...

    def load(self, directory: Path) -> None:
        """Go on from what `save` wrote there, in another process."""
        ...

    def state(self) -> Mapping[str, Tensor]:
        """Weights and optimizer state by name, the weights first."""
        ...


def build(factory: Callable[..., Any], name: str, arguments: tuple[int, str, Path]) -> Subject:
    """The subject that `factory` makes.

    Raises:
        TypeError: it lacks one of the methods.
    """
    subject = factory(*arguments)
    missing = [method for method in METHODS if not callable(getattr(subject, method, None))]
    if missing:
        raise TypeError(
            f"{name} returned an object of type {type(subject).__name__} without {missing[0]}(); "
            "a subject has "
            f"{', '.join(f'{method}()' for method in METHODS)}"
        )
    return cast("Subject", subject)


def resolve(name: str) -> Callable[..., Any]:
    """The factory called `module:function`.

    Raises:
        ImportError: there is no such module.
        AttributeError: the module has no such function.
    """
    module, _, attribute = name.partition(":")
    found: Any = importlib.import_module(module)
    for part in attribute.split("."):
        found = getattr(found, part)
    return cast("Callable[..., Any]", found)
