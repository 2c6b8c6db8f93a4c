"""The arguments of the gates that put a trainer on trial."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from codex_audit.gates.base import GateUsageError
from codex_audit.proofs.trainer.smoke import all_proofs

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

THOROUGH = "--thorough"


class Arguments(msgspec.Struct, frozen=True):
    """What was asked for; `only` names the proofs to try, all if empty."""

    thorough: bool = False
    only: tuple[str, ...] = ()
    flags: frozenset[str] = frozenset()


def arguments(gate: str, given: Sequence[str], flags: Collection[str] = ()) -> Arguments:
    """Read `--thorough`, the gate's own `flags`, and names of proofs.

    Raises:
        GateUsageError: something else was given.
    """
    known = all_proofs()
    allowed = {THOROUGH, *flags}
    unknown = next((each for each in given if each not in known and each not in allowed), None)
    if unknown is not None:
        takes = ", ".join(sorted(allowed))
        raise GateUsageError(
            f"{gate} takes {takes} and names of proofs; leave out {unknown!r} (the proofs are: "
            f"{', '.join(known)})"
        )
    return Arguments(
        thorough=THOROUGH in given,
        only=tuple(each for each in given if each in known),
        flags=frozenset(given) & frozenset(flags),
    )
