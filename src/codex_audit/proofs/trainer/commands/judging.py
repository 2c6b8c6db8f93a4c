"""What a proof is given when it is tried on a command, and what it returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from codex_audit.proofs.trainer.commands.asked import Asked, Written
from codex_audit.proofs.trainer.commands.compare import entries, side_by_side
from codex_audit.proofs.trainer.commands.plan import Plan
from codex_audit.proofs.trainer.trial import Seen, Skip

if TYPE_CHECKING:
    from codex_audit.proofs.trainer.commands.compare import Aligned, Entries

_ROWS = 12


class CommandTrial(msgspec.Struct, frozen=True, kw_only=True):
    """A command after its first runs.

    Attributes:
        plan: what is run.
        steps: of the whole run.
        whole: that run.
        again: the same once more.
        short: of half the steps, where the command takes a number of steps.
        thorough: whether time may be spent.
    """

    plan: Plan
    steps: int
    whole: Written
    again: Written
    short: Written | None = None
    thorough: bool = False

    @property
    def repeats(self) -> bool:
        """Whether two runs with one seed write the same."""
        return self.again.good and not how_they_differ(self)

    @property
    def shorter(self) -> Written:
        """The run of half the steps, or the whole one where there is none."""
        return self.short or self.whole

    @property
    def asked(self) -> Asked:
        """The whole run."""
        return self.whole.asked

    def resume_of(self, source: Asked) -> Asked:
        """The run that goes on from `source` to where the whole one ended."""
        last = self.whole.losses[-1].place if self.plan.endless else None
        return Asked(steps=self.steps, source=source, until=last)


Runs = Callable[[CommandTrial], Mapping[str, Asked] | Skip]
Judge = Callable[[CommandTrial, Mapping[str, Written]], Seen | Skip]


class OnCommands(msgspec.Struct, frozen=True):
    """How a proof is tried on a command."""

    runs: Runs
    judge: Judge


def nothing(trial: CommandTrial) -> dict[str, Asked]:
    """Nothing more is to be run."""
    del trial
    return {}


def how_they_differ(trial: CommandTrial) -> str:
    """How two runs with one seed differ, in words; empty where they do not."""
    aligned = side_by_side(trial.whole.losses, trial.again.losses)
    found = entries(trial.whole, trial.again)
    words = []
    if aligned.different:
        row = aligned.different[0]
        words.append(f"{row.step}: the loss is {row.other:g} instead of {row.one:g}")
    elif aligned.end:
        words.append(aligned.end)
    if found.tensor is not None:
        more = f" and {found.tensor.count - 1} more tensors" if found.tensor.count > 1 else ""
        words.append(f"of the checkpoint `{found.tensor.name}`{more} ({found.tensor.note})")
    return "; ".join(words)


def details_of(aligned: Aligned, found: Entries, seen: str, cause: str) -> dict[str, Any]:
    """A difference as rows for the report, in the form that all trainers' proofs share."""
    different = aligned.different
    first = aligned.rows.index(different[0]) if different else 0
    rows = aligned.rows[max(0, first - 1) :][:_ROWS] if different else ()
    components = [name for name, has in (("loss", different), ("checkpoint", found.tensor)) if has]
    return {
        "step": _number(different[0].step) if different else None,
        "components": components,
        "seen": [seen],
        "cause": cause,
        "rows": [
            {
                "step": _number(row.step),
                "loss": repr(row.one),
                "other_loss": repr(row.other),
                "parameter": None,
                "max_abs": None,
                "ulps": None,
            }
            for row in rows
        ],
    }


def _number(step: str) -> int:
    return int(step.rpartition(" ")[2])
