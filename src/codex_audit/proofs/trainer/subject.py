"""What a trainer must offer to stand trial, and how the audited repository names its own.

In `pyproject.toml`:

    [tool.codex-audit.trainer]
    factory = "package.module:function"

`function(seed, device, directory)` returns a small training run, ready to start: a `Subject`,
or what an adapter knows, such as a `transformers.Trainer`. It seeds whatever draws random
numbers, with `seed`; it is called anew in every process, also in the one that resumes.

Each further parameter that it has, by a name of the table in `docs/trainers.md`, lets a proof
try that setting: `accumulate` (micro-batches a step), `batch_size` (samples a micro-batch),
`workers` (of the loader), `clip_norm`, `dropout` (False: nothing random in the pass), `one_batch`
(True: the first batch again and again), `evaluate_every` and `save_every` (steps), `keep`
(checkpoints), `keep_best`, `precision` ("fp32", "bf16", "fp16"), `ranks`, and `horizon`, the steps
that the schedule should be planned for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

METHODS = ("train", "save", "load")


class Subject(Protocol):
    """A training run on trial.

    More members are used where they exist: `evaluate()` evaluates; `state()` gives tensors by
    name that belong to the run beside its model and optimizer, such as an average of the weights;
    `order()` gives the samples that each step trained on, a mapping from the step (from 1) to a
    list of integers, where no DataLoader tells them; `trainer` is the object whose methods
    evidence should cite, if not this one, and `model` that whose parameters are named.
    """

    def train(self, steps: int) -> Sequence[float] | None:
        """Train until `steps` optimizer steps are done since the run's first start.

        Returns:
            The loss of each step that this call made, none of those before a resume; or None:
            losses are taken where their gradient is.
        """
        ...

    def save(self, directory: Path) -> None:
        """Write all that is needed to go on into `directory`."""
        ...

    def load(self, directory: Path) -> None:
        """Go on from what `save` wrote there, in another process."""
        ...


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
