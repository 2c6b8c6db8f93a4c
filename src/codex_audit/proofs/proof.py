"""What a proof is, how all of a battery are found, and what a declared limit changes."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, TypeVar

import msgspec

from codex_audit.gates.base import GateUsageError
from codex_audit.outcome import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from codex_audit.outcome import Check


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """A claim that is tried by running the subject; the batteries' proofs extend this.

    Attributes:
        id: the name of its check, in snake_case.
        claim: what holds of a subject that passes, in one line.
        why: what a subject that fails does to its user.
        catches: faults that it was written for, where known with the release that had them.
        remedy: what to do about a failure.
    """

    id: str
    claim: str
    why: str
    catches: tuple[str, ...]
    remedy: str


P = TypeVar("P", bound=Proof)


def battery(package: str, kind: type[P]) -> dict[str, P]:
    """Every proof of a battery by its identifier: the `PROOF` of each module of `package`."""
    home = importlib.import_module(package)
    names = sorted(info.name for info in pkgutil.iter_modules(home.__path__))
    found: list[P] = []
    for name in names:
        proof = importlib.import_module(f"{package}.{name}").PROOF
        if not isinstance(proof, kind):
            raise TypeError(f"{package}.{name}.PROOF is no {kind.__name__}")
        found.append(proof)
    return {proof.id: proof for proof in found}


def with_limits(
    checks: Iterable[Check], limits: Mapping[str, str], known: Iterable[str], table: str
) -> tuple[Check, ...]:
    """The checks, where a failure that the settings declare ends as a declared limit.

    Args:
        checks: of one trial.
        limits: proof -> the subject's reason.
        known: every proof of the battery.
        table: of the settings, for messages.

    Raises:
        GateUsageError: `limits` names a proof that does not exist.
    """
    names = sorted(known)
    unknown = [name for name in limits if name not in names]
    if unknown:
        raise GateUsageError(
            f"[tool.codex-audit.{table}.limits] {unknown[0]}: no such proof; there are: "
            f"{', '.join(names)}"
        )
    return tuple(_limited(check, limits.get(check.id)) for check in checks)


def why_nothing_passed(checks: Iterable[Check]) -> str:
    """The reason that a gate gives for a trial of skips and declared limits alone; else ""."""
    verdicts = [check.verdict for check in checks]
    if not verdicts or set(verdicts) - {Verdict.SKIP, Verdict.DECLARED_LIMIT}:
        return ""
    limits = verdicts.count(Verdict.DECLARED_LIMIT)
    return f"no proof passed: {limits} declared limit(s), {len(verdicts) - limits} skipped"


def _limited(check: Check, reason: str | None) -> Check:
    if reason is None:
        return check
    if check.verdict is Verdict.FAIL:
        return msgspec.structs.replace(
            check,
            verdict=Verdict.DECLARED_LIMIT,
            summary=f"declared: {reason}; seen: {check.summary}",
        )
    if check.verdict is Verdict.PASS:
        more = "the settings declare a limit here, which is no longer needed"
        return msgspec.structs.replace(check, summary=f"{check.summary}; {more}")
    return check
