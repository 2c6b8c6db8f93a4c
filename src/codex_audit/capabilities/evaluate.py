"""Answering the catalog's criteria from facts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from codex_audit.capabilities.callers import Callers
from codex_audit.capabilities.catalog import deep
from codex_audit.capabilities.frameworks import Frameworks
from codex_audit.capabilities.grading import grade
from codex_audit.capabilities.kind import declaration, declare, infer, named_subjects, shown
from codex_audit.capabilities.ladder import Ladder
from codex_audit.capabilities.match import Hit, Matcher
from codex_audit.diagnosis import Failure, capture
from codex_audit.outcome import CapturedError, Evidence
from codex_audit.records import Answer, Capability, Criterion, Kind
from codex_audit.tree.symbols import Symbols

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from codex_audit.capabilities.catalog import Catalog
    from codex_audit.capabilities.match import Findings
    from codex_audit.capabilities.model import CapabilityRule, CriterionRule
    from codex_audit.tree.facts import Found

EVIDENCE_LIMIT = 5


class Verdicts(msgspec.Struct, frozen=True):
    """The answered catalog; `errors` are those of rules that failed."""

    capabilities: dict[str, Capability]
    trains: bool
    kind: Kind
    errors: tuple[CapturedError, ...]


def evaluate(
    catalog: Catalog,
    findings: Findings,
    files: Sequence[Found],
    *,
    root: Path,
    snippet: Callable[[str, int], str],
    not_applicable: Mapping[str, str],
    present: Collection[str] = (),
    kind: str | None = None,
) -> Verdicts:
    """Answer every criterion of `catalog` for the findings in the files of a tree.

    `snippet` gives the text of a line of a file; `not_applicable` maps a capability or a
    `capability.criterion` to the reason why settings say that it does not apply; `present` are
    subjects that settings say are there, such as a configured trainer; `kind` is the kind that
    settings declare.
    """
    return _Evaluation(catalog, findings, files, root, snippet, not_applicable, present).run(kind)


class _Evaluation:
    def __init__(
        self,
        catalog: Catalog,
        findings: Findings,
        files: Sequence[Found],
        root: Path,
        snippet: Callable[[str, int], str],
        not_applicable: Mapping[str, str],
        present: Collection[str],
    ) -> None:
        self._catalog = catalog
        self._files = files
        self._root = root
        self._snippet = snippet
        self._declared = not_applicable
        self._findings = findings
        self._symbols = Symbols(files)
        self._callers = Callers(self._symbols)
        self._matcher = Matcher(findings, self._met_hits, self._callers)
        self._frameworks = Frameworks(catalog.frameworks, self._matcher, files)
        self._answers: dict[str, tuple[Criterion, list[Hit]]] = {}
        self._open: list[str] = []
        self._topics: dict[str, Mapping[str, int]] = {}
        self._present = frozenset(present)
        self._subjects: dict[str, bool] = dict.fromkeys(present, True)
        self._errors: list[CapturedError] = []
        self._without: frozenset[str] = frozenset()
        self._explained = named_subjects(catalog.kinds)
        self._ladder: Ladder | None = Ladder(catalog, self._matcher, files, self._symbols, snippet)

    def run(self, declared: str | None) -> Verdicts:
        self._kind = self._inferred()
        if declared is not None:
            self._bind(declared)
        trains = self._subject("training")
        capabilities = {}
        for rule in self._catalog.capabilities.values():
            criteria = {
                name: self._climb(f"{rule.id}.{name}", self._answer(f"{rule.id}.{name}")[0])
                for name in rule.criteria
            }
            stubs = self._stubs(rule)
            status = grade(criteria, stubs, trains=trains, not_applicable=rule.id in self._declared)
            capabilities[rule.id] = Capability(
                id=rule.id, title=rule.title, status=status, criteria=criteria, stubs=stubs
            )
        return Verdicts(capabilities, trains, self._kind, tuple(self._errors))

    def _inferred(self) -> Kind:
        try:
            return infer(self._catalog.kinds, self._matcher, self._cite)
        except Exception as error:  # noqa: BLE001 - one broken rule must not hide the answers
            self._errors.append(
                capture(
                    Failure.of(error),
                    phase=3,
                    step="capability_signal_extraction",
                    context="the rules of the kinds of repository",
                    root=self._root,
                )
            )
            return Kind("unknown", "unknown", (), f"its rule failed: {error}")

    def _bind(self, name: str) -> None:
        """Answer anew, with the subjects that the declared kind has and lacks."""
        rule = self._catalog.kinds[name]
        # What failed once is not tried again: its error is captured.
        self._answers = {
            key: answer
            for key, answer in self._answers.items()
            if answer[0].answer is Answer.UNKNOWN
        }
        self._subjects = dict.fromkeys((*self._present, *rule.has), True)
        self._without = frozenset(rule.without)
        line = self._cite(self._matcher.hits(declaration(name)))
        self._kind = declare(self._catalog.kinds, name, self._kind, line)
        self._matcher = Matcher(self._findings, self._met_hits, self._callers)

    def _climb(self, key: str, criterion: Criterion) -> Criterion:
        """The criterion with how far it is up the ladder."""
        if self._ladder is None:
            return criterion
        try:
            return self._ladder.climb(key, criterion)
        except Exception as error:  # noqa: BLE001 - the answers stand, whoever tested them
            self._ladder = None  # it would fail for the next one too
            self._errors.append(
                capture(
                    Failure.of(error),
                    phase=3,
                    step="capability_signal_extraction",
                    context=f"whether tests or documents name {key}; it is not asked of others",
                    root=self._root,
                )
            )
            return criterion

    def _answer(self, key: str) -> tuple[Criterion, list[Hit]]:
        if key in self._answers:
            return self._answers[key]
        if key in self._open:
            raise ValueError(f"criteria refer to each other: {' -> '.join([*self._open, key])}")
        capability_id, _, name = key.partition(".")
        rule = self._catalog.capabilities[capability_id].criteria[name]
        self._open.append(key)
        try:
            answered = self._judge(key, rule)
        except Exception as error:  # noqa: BLE001 - one broken rule must not hide the other answers
            self._errors.append(
                capture(
                    Failure.of(error),
                    phase=3,
                    step="capability_signal_extraction",
                    context=f"the rule of the criterion {key}",
                    root=self._root,
                )
            )
            answered = (
                self._criterion(name, rule, Answer.UNKNOWN, reason=f"its rule failed: {error}"),
                [],
            )
        finally:
            self._open.remove(key)
        marked = msgspec.structs.replace(
            answered[0],
            added_by=self._catalog.added.get(key, ""),
            experimental=key in self._catalog.experimental,
        )
        answered = (marked, answered[1])
        self._answers[key] = answered
        return answered

    def _met_hits(self, key: str) -> Sequence[Hit] | None:
        criterion, hits = self._answer(key)
        return hits if criterion.answer is Answer.MET else None

    def _judge(self, key: str, rule: CriterionRule) -> tuple[Criterion, list[Hit]]:
        capability_id, _, name = key.partition(".")
        declared = self._declared.get(key) or self._declared.get(capability_id)
        if declared:
            return self._criterion(
                name, rule, Answer.NOT_APPLICABLE, reason=f"settings: {declared}"
            ), []
        absent = self._absent(rule, self._catalog.capabilities[capability_id].subject)
        if absent:
            return self._criterion(name, rule, Answer.NOT_APPLICABLE, reason=absent), []
        against = self._matcher.first(rule.unless)
        if against:
            return self._unmet(name, rule, against, miss=rule.miss), []
        if not rule.met and rule.unless:
            hits = self._matcher.first(rule.shown)
            return self._criterion(name, rule, Answer.MET, hits), hits
        hits = self._matcher.first(
            rule.met,
            entrances_first=self._catalog.capabilities[capability_id].entrances_first,
            topic=self._topic(capability_id),
        )
        provided = self._frameworks.provides(key)
        if hits or provided.hits:
            # Own code says more than a framework's name does.
            every = list(dict.fromkeys([*hits, *provided.hits]))
            return self._criterion(
                name, rule, Answer.MET, every, reason="" if hits else provided.reason
            ), every
        shortfall = self._frameworks.shortfall(key)
        near = self._matcher.first(rule.near)
        # What a framework lacks is said with its line, not with what own code lacks.
        miss = rule.miss if near else ""
        return self._unmet(
            name, rule, [*near, *shortfall.hits], shortfall=shortfall.reason, miss=miss
        ), []

    def _topic(self, capability_id: str) -> Mapping[str, int]:
        """File -> how much of what the capability asks for is found in it."""
        if capability_id not in self._topics:
            criteria = self._catalog.capabilities[capability_id].criteria.values()
            asked = deep(signal for rule in criteria for signal in rule.met)
            self._topics[capability_id] = self._findings.counts(asked)
        return self._topics[capability_id]

    def _unmet(
        self,
        name: str,
        rule: CriterionRule,
        near: Sequence[Hit],
        *,
        miss: str,
        shortfall: str = "",
    ) -> Criterion:
        nearest = self._evidence(near[:1], withhold=rule.withhold)
        criterion = self._criterion(name, rule, Answer.UNMET)
        return msgspec.structs.replace(
            criterion,
            gap="; ".join(filter(None, (rule.gap, shortfall))),
            nearest=nearest[0] if nearest else None,
            miss=miss,
        )

    def _subject(self, name: str) -> bool:
        if name not in self._subjects:
            rule = self._catalog.subjects[name]
            present = bool(self._matcher.first(rule.met)) and not self._matcher.first(rule.unless)
            self._subjects[name] = present
        return self._subjects[name]

    def _absent(self, rule: CriterionRule, of_all: str) -> str:
        """Why a rule does not apply, in a capability with the subject `of_all`; `""` if it does."""
        subject = of_all if rule.subject is None else rule.subject
        for lifted in (of_all, subject):
            if lifted in self._without:
                words = lifted.replace("_", " ")
                return (
                    f"the kind declared in pyproject.toml, {self._kind.title}, is without {words}"
                )
        if not subject or self._subject(subject):
            return ""
        reason = self._catalog.subjects[subject].reason
        if subject not in self._explained:
            return reason
        return f"{reason} (kind: {self._kind.title}: {shown(self._kind)})"

    def _criterion(
        self,
        name: str,
        rule: CriterionRule,
        answer: Answer,
        hits: Sequence[Hit] = (),
        reason: str = "",
    ) -> Criterion:
        return Criterion(
            id=name,
            question=rule.question,
            answer=answer,
            required=rule.required,
            impact=1 if rule.of_runs and not self._subject("training") else rule.impact,
            effort=rule.effort,
            evidence=self._evidence(hits[:EVIDENCE_LIMIT], withhold=rule.withhold),
            reason=reason,
            remedy=rule.remedy if answer is Answer.UNMET else "",
            proven_by=rule.proven_by,
        )

    def _cite(self, hits: Sequence[Hit]) -> tuple[Evidence, ...]:
        return self._evidence(hits, withhold=False)

    def _evidence(self, hits: Sequence[Hit], *, withhold: bool) -> tuple[Evidence, ...]:
        return tuple(
            Evidence(hit.path, hit.line, "" if withhold else self._snippet(hit.path, hit.line))
            for hit in hits
        )

    def _stubs(self, rule: CapabilityRule) -> tuple[Evidence, ...]:
        if not rule.stubs:
            return ()
        named = re.compile(rule.stubs)
        return tuple(
            Evidence(file.path, stub.line, stub.text)
            for file in self._files
            if file.role in {"core", "script"}
            for stub in file.stubs
            if named.search(stub.name)
        )
