"""How far an answer is up the ladder: mentioned, coded, tested. What gates prove comes later."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from codex_audit.outcome import Evidence
from codex_audit.records import Answer, Criterion, Proof, TestedBy
from codex_audit.tree.reach import Reach

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from codex_audit.capabilities.catalog import Catalog
    from codex_audit.capabilities.match import Matcher
    from codex_audit.capabilities.model import CriterionRule
    from codex_audit.tree.facts import Found
    from codex_audit.tree.symbols import Symbols


class Ladder:
    """The rungs that reading can give: a test that reaches the evidence, documents that speak."""

    def __init__(
        self,
        catalog: Catalog,
        matcher: Matcher,
        files: Sequence[Found],
        symbols: Symbols,
        snippet: Callable[[str, int], str],
    ) -> None:
        self._catalog = catalog
        self._matcher = matcher
        self._files = files
        self._symbols = symbols
        self._snippet = snippet

    @cached_property
    def _reach(self) -> Reach:
        return Reach(self._files, self._symbols)

    def climb(self, key: str, criterion: Criterion) -> Criterion:
        """The criterion of that key: tested where it is met, mentioned where it is not."""
        if criterion.answer is Answer.MET:
            return self._tested(criterion, self._rule(key))
        if criterion.answer is Answer.UNMET:
            return self._mentioned(key, criterion)
        return criterion

    def _rule(self, key: str) -> CriterionRule:
        capability, _, name = key.partition(".")
        return self._catalog.capabilities[capability].criteria[name]

    def _tested(self, criterion: Criterion, rule: CriterionRule) -> Criterion:
        # Each line of its own code shows it alone; of those that show a framework at work, only
        # the first one does.
        own = {(hit.path, hit.line) for hit in self._matcher.first(rule.met)}
        alone = [line for line in criterion.evidence if (line.path, line.line) in own]
        for line in alone or criterion.evidence[:1]:
            reached = self._reach.test_of(line.path, line.line)
            if reached is not None:
                test = TestedBy(
                    path=reached.path,
                    line=reached.line,
                    snippet=self._snippet(reached.path, reached.line),
                    reaches=str(line),
                    through=reached.through,
                )
                return msgspec.structs.replace(criterion, proof=Proof.TESTED, tested_by=test)
        return criterion

    def _mentioned(self, key: str, criterion: Criterion) -> Criterion:
        hits = self._matcher.first(self._catalog.mentions.get(key, ()))
        if not hits:
            return criterion
        said = Evidence(hits[0].path, hits[0].line, self._snippet(hits[0].path, hits[0].line))
        return msgspec.structs.replace(criterion, mentioned=said)
