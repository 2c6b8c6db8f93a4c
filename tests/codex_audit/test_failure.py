"""Failures as text: short where they stand in a sentence, and what was said of them elsewhere."""

from __future__ import annotations

import pytest
from torch.utils.data import DataLoader, Dataset

from codex_audit.failure import Failure


class Broken(Dataset[int]):
    """A data set with a fault."""

    def __len__(self) -> int:
        """One sample."""
        return 1

    def __getitem__(self, index: int) -> int:
        """No sample."""
        raise KeyError("label")


def test_what_a_worker_raised_is_told_without_its_traceback() -> None:
    """Torch puts a traceback into the message: it belongs beside it."""
    with pytest.raises(KeyError) as caught:
        next(iter(DataLoader(Broken(), num_workers=1)))
    failure = Failure.of(caught.value)
    assert failure.message == "Caught KeyError in DataLoader worker process 0: KeyError: 'label'"
    assert "in __getitem__" in failure.traceback


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (ValueError("no rows\nin 3 files"), "ValueError: no rows"),
        (EOFError(), "EOFError (no message)"),
        (ValueError("x" * 500), f"ValueError: {'x' * 240} ..."),
    ],
    ids=["first line", "no message", "long"],
)
def test_shown_within_a_sentence(error: Exception, shown: str) -> None:
    """Its type, and the first line of what it says, if it says anything."""
    assert Failure.of(error).shown == shown
