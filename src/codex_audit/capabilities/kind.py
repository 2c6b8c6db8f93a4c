"""What kind of repository this is: inferred from its code, or declared by settings."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from codex_audit.capabilities.model import KindRule, Signal
from codex_audit.records import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from codex_audit.capabilities.match import Hit, Matcher
    from codex_audit.outcome import Evidence

    Cite = Callable[[Sequence[Hit]], tuple[Evidence, ...]]

_LIMIT = 3


def infer(kinds: Mapping[str, KindRule], matcher: Matcher, cite: Cite) -> Kind:
    """The first of `kinds` that holds, with what else holds that is worth a word beside it.

    `cite` gives the lines of the places where a signal holds.
    """
    held = ((name, rule, matcher.first(rule.met)) for name, rule in kinds.items())
    name, rule, hits = next(each for each in held if each[2] or not each[1].met)
    reason = rule.means
    for other in rule.also:
        besides = matcher.first(kinds[other].met)
        if besides:
            reason += (
                f"; it also reads as {kinds[other].title} ({besides[0].path}:{besides[0].line})"
            )
            return Kind(name, rule.title, cite(hits[:_LIMIT]), reason, runner_up=other)
    return Kind(name, rule.title, cite(hits[:_LIMIT]), reason)


def declaration(kind: str) -> Signal:
    """The line that declares it."""
    return Signal(
        config="tool.codex-audit.kind",
        path="pyproject.toml",
        value=f"^{re.escape(kind)}$",
        roles=("*",),
    )


def declare(
    kinds: Mapping[str, KindRule], name: str, inferred: Kind, evidence: tuple[Evidence, ...]
) -> Kind:
    """The kind that settings declare, and what the code reads as where that is another one."""
    if inferred.id == name:
        reads = "the code reads so, too"
    else:
        reads = f"the code reads as {inferred.title} ({shown(inferred)})"
    reason = f"declared in pyproject.toml; {reads}"
    return Kind(name, kinds[name].title, evidence, reason, declared=True)


def shown(kind: Kind) -> str:
    """Where a kind is seen; what it means where no line shows it."""
    if kind.declared:
        return "declared in pyproject.toml"
    return str(kind.evidence[0]) if kind.evidence else kind.reason


def named_subjects(kinds: Mapping[str, KindRule]) -> frozenset[str]:
    """The subjects that kinds have or lack: those that the name of a kind explains."""
    return frozenset(name for rule in kinds.values() for name in (*rule.has, *rule.without))
