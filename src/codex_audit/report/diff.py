"""What changed between two status documents, and whether the tree, the rules or settings did."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec

from codex_audit.outcome import Evidence, Finding, Verdict
from codex_audit.records import Answer, Capability, Criterion, Proof, Status
from codex_audit.report.document import (
    SCHEMA_VERSION,
    GateResult,
    GateVerdict,
    PhaseStatus,
    StatusDocument,
)
from codex_audit.report.escaping import code, shorten
from codex_audit.report.ladder import told_gap

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_ORDER = (Status.MISSING, Status.STUBBED, Status.PARTIALLY, Status.IMPLEMENTED)
_RUNGS = (Proof.STATIC, Proof.TESTED, Proof.PROVEN)
_NO_RULE = "not in the catalog"
_RAN = {GateVerdict.PASS, GateVerdict.FAIL, GateVerdict.ERROR}
_SHOWN, _WIDTH = 3, 300  # new findings of a gate; characters of a note


class DiffError(ValueError):
    """A file that is no status document; the message names it and the remedy."""


class Effect(StrEnum):
    """What a change means. `OTHER`: neither, or nobody can tell."""

    WORSE = "regression"
    BETTER = "improvement"
    OTHER = "other change"


class Cause(msgspec.Struct, frozen=True):
    """Whether one of the things that decide the answers changed; None where nobody can tell."""

    what: str
    changed: bool | None
    said: str


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not as it was, with the lines of the new document that show it.

    Attributes:
        what: `kind`, `capability`, `criterion`, `gate` or `check`.
        name: `capability`, `capability.criterion`, the gate, or `gate:check`; the path of a
            project stands before it.
    """

    what: str
    name: str
    before: str
    after: str
    effect: Effect
    note: str = ""
    evidence: tuple[Evidence, ...] = ()


class Source(msgspec.Struct, frozen=True):
    """One of the two documents, in short."""

    file: str
    project: str
    commit: str | None
    tree_digest: str
    catalog_version: str
    made: str
    verdict: str


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """All that differs. `not_compared` says what one of the two documents cannot tell."""

    old: Source
    new: Source
    causes: tuple[Cause, ...]
    changes: tuple[Change, ...]
    not_compared: tuple[str, ...]

    def of(self, effect: Effect) -> tuple[Change, ...]:
        """The changes with that effect."""
        return tuple(change for change in self.changes if change.effect is effect)


class _Version(msgspec.Struct):
    schema_version: str


def read_document(path: Path) -> StatusDocument:
    """Read what `scan --json` or `report` wrote.

    Raises:
        DiffError: the file cannot be read, is no status document, or is of another major version.
    """
    remedy = "give `status.json` of a report, or what `codex-audit scan --json` wrote"
    try:
        data = path.read_bytes()
        version = msgspec.json.decode(data, type=_Version).schema_version
        if version.partition(".")[0] != SCHEMA_VERSION.partition(".")[0]:
            raise DiffError(
                f"{path}: schema_version {version!r} is not readable by this version, which reads "
                f"{SCHEMA_VERSION.partition('.')[0]}.x; make the document again"
            )
        return msgspec.json.decode(data, type=StatusDocument)
    except OSError as error:
        raise DiffError(f"{path}: cannot be read ({error.strerror}); {remedy}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DiffError(f"{path}: no status document ({error}); {remedy}") from error


def compare(old_file: Path, new_file: Path) -> Difference:
    """What changed from the document in `old_file` to that in `new_file`.

    Raises:
        DiffError: one of them is no status document.
    """
    old, new = read_document(old_file), read_document(new_file)
    changes = [*_kind(old, new), *_capabilities("", old.capabilities, new.capabilities)]
    for path in sorted(old.projects.keys() & new.projects.keys()):
        before, after = old.projects[path], new.projects[path]
        changes += _capabilities(f"{path}: ", before.capabilities, after.capabilities)
    alone = {str(file): None for file, each in ((old_file, old), (new_file, new)) if _static(each)}
    not_compared = []
    if alone:
        not_compared.append(f"gates, for no outcome was asked for in {' and '.join(alone)}")
    else:
        changes += _gates(old.gates, new.gates)
    not_compared += [
        f"the project {path}, which only one of the two has"
        for path in sorted(old.projects.keys() ^ new.projects.keys())
    ]
    return Difference(
        old=_source(old_file, old),
        new=_source(new_file, new),
        causes=(_tree(old, new), _catalog(old, new), _settings(old, new)),
        changes=tuple(changes),
        not_compared=tuple(not_compared),
    )


def _static(document: StatusDocument) -> bool:
    """Whether nobody asked for outcomes of gates: `scan` packages nothing, `report` always does."""
    return not document.phases or document.phases[-1].status is PhaseStatus.NOT_RUN


def _source(file: Path, document: StatusDocument) -> Source:
    made = document.provenance
    return Source(
        str(file),
        document.project,
        made.commit,
        made.tree_digest,
        document.catalog_version,
        made.started,
        document.verdict,
    )


def _tree(old: StatusDocument, new: StatusDocument) -> Cause:
    before, after = old.provenance, new.provenance
    if before.tree_digest == after.tree_digest:
        return Cause("tree", changed=False, said=f"the same ({_commit(new)})")
    if after.commit and before.commit == after.commit:
        where = f"in files that commit {after.commit[:10]} does not have so"
        return Cause("tree", changed=True, said=f"changed, {where}")
    return Cause("tree", changed=True, said=f"changed, from {_commit(old)} to {_commit(new)}")


def _commit(document: StatusDocument) -> str:
    made = document.provenance
    at = f"commit {made.commit[:10]}" if made.commit else "files without a commit"
    return f"{at} with uncommitted changes" if made.dirty else at


def _catalog(old: StatusDocument, new: StatusDocument) -> Cause:
    before, after = old.catalog_version, new.catalog_version
    if before == after:
        return Cause("catalog", changed=False, said=f"the same ({after})")
    return Cause("catalog", changed=True, said=f"changed, from {before} to {after}")


def _settings(old: StatusDocument, new: StatusDocument) -> Cause:
    before, after = old.settings, new.settings
    if before is None or after is None:
        return Cause("settings", changed=None, said="not recorded in both documents")
    keys = [key for key in sorted({*before, *after}) if before.get(key) != after.get(key)]
    if not keys:
        return Cause("settings", changed=False, said="the same")
    told = (f"`{key}` from {_value(before, key)} to {_value(after, key)}" for key in keys)
    return Cause("settings", changed=True, said=f"changed, {'; '.join(told)}")


def _value(settings: Mapping[str, Any], key: str) -> str:
    if key not in settings:
        return "its default"
    return code(shorten(msgspec.json.encode(settings[key]).decode(), 80))


def _kind(old: StatusDocument, new: StatusDocument) -> Iterator[Change]:
    """Another kind of repository makes other criteria apply."""
    if old.kind.id != new.kind.id:
        yield Change(
            what="kind", name="kind", before=old.kind.title, after=new.kind.title,
            effect=Effect.OTHER, note=shorten(new.kind.reason, _WIDTH),
            evidence=new.kind.evidence[:1],
        )  # fmt: skip


def _capabilities(
    project: str, old: Mapping[str, Capability], new: Mapping[str, Capability]
) -> Iterator[Change]:
    for name in dict.fromkeys([*old, *new]):
        before, after = old.get(name), new.get(name)
        if before is None or after is None:
            there = _NO_RULE if before is None else str(before.status)
            then = str(after.status) if after else _NO_RULE
            yield Change(
                what="capability", name=project + name, before=there, after=then,
                effect=Effect.OTHER,
            )  # fmt: skip
            continue
        if before.status is not after.status:
            yield Change(
                what="capability", name=project + name, before=before.status, after=after.status,
                effect=_rose(before.status, after.status),
            )  # fmt: skip
        for own in dict.fromkeys([*before.criteria, *after.criteria]):
            change = _criterion(
                f"{project}{name}.{own}", before.criteria.get(own), after.criteria.get(own)
            )
            if change is not None:
                yield change


def _rose(before: Status, after: Status) -> Effect:
    if before not in _ORDER or after not in _ORDER:
        return Effect.OTHER
    return Effect.BETTER if _ORDER.index(after) > _ORDER.index(before) else Effect.WORSE


def _criterion(name: str, old: Criterion | None, new: Criterion | None) -> Change | None:
    before, after = _state(old), _state(new)
    if before == after:
        return None
    effect = Effect.OTHER
    if old is not None and new is not None and not new.experimental:
        effect = _moved(old, new)
    note, evidence = _shown(old, new)
    if new is not None and new.experimental:
        note = f"experimental, not graded; {note}" if note else "experimental, not graded"
    return Change(
        what="criterion", name=name, before=before, after=after, effect=effect,
        note=shorten(note, _WIDTH), evidence=evidence,
    )  # fmt: skip


def _state(criterion: Criterion | None) -> str:
    if criterion is None:
        return _NO_RULE
    if criterion.proof is Proof.REFUTED:
        return "refuted"
    if criterion.answer is Answer.MET and criterion.proof is not Proof.STATIC:
        return f"met and {criterion.proof}"
    return str(criterion.answer)


def _moved(old: Criterion, new: Criterion) -> Effect:
    """Something that held was lost, or something that did not hold now does."""
    held, holds = old.answer is Answer.MET, new.answer is Answer.MET
    if held and new.answer in {Answer.UNMET, Answer.UNKNOWN}:
        return Effect.WORSE
    if new.proof is Proof.REFUTED:
        return Effect.WORSE
    if old.proof is Proof.REFUTED:
        # Only a gate takes back what a gate said.
        return Effect.BETTER if holds and new.proof is Proof.PROVEN else Effect.OTHER
    climbed = holds and held and _RUNGS.index(new.proof) > _RUNGS.index(old.proof)
    return Effect.BETTER if climbed or (holds and old.answer is Answer.UNMET) else Effect.OTHER


def _shown(old: Criterion | None, new: Criterion | None) -> tuple[str, tuple[Evidence, ...]]:
    """What is to be said of the new answer, and the lines that show it."""
    if new is None:
        return "", ()
    if new.answer is Answer.MET:
        if new.proof is Proof.TESTED and new.tested_by is not None:
            return f"reached by the test at {new.tested_by.evidence}", new.evidence[:1]
        unjudged = old is not None and old.proof is Proof.REFUTED and new.proof is not Proof.PROVEN
        return "no gate has judged it since" if unjudged else new.reason, new.evidence[:1]
    if new.answer is Answer.UNMET:
        # The nearest line is shown below the note, and so is that which showed it before.
        said = told_gap(new if new.miss else msgspec.structs.replace(new, nearest=None))
        shown = old.evidence[0] if old is not None and old.evidence else None
        if shown is not None and str(shown) != str(new.nearest):
            said += f"; it was shown by {shown}"
        return said, (new.nearest,) if new.nearest else ()
    return new.reason or new.gap, ()


def _gates(old: tuple[GateResult, ...], new: tuple[GateResult, ...]) -> Iterator[Change]:
    before, after = ({gate.name: gate for gate in gates} for gates in (old, new))
    for name in dict.fromkeys([*before, *after]):
        was, now = before.get(name), after.get(name)
        if was is None or now is None:
            yield Change(
                what="gate", name=name, effect=Effect.OTHER,
                before=was.verdict if was else "no gate of the audit",
                after=now.verdict if now else "no gate of the audit",
            )  # fmt: skip
            continue
        fresh = _new_findings(was, now)
        found = [
            Evidence(one.path, one.line, f"{one.rule} {shorten(one.message, 100)}") for one in fresh
        ]
        if was.verdict is not now.verdict:
            more = f"; {len(fresh)} new findings, the first {_SHOWN} shown"
            note = now.note + (more if len(fresh) > _SHOWN else "") + _tools(was, now)
            yield Change(
                what="gate", name=name, before=was.verdict, after=now.verdict,
                effect=_verdicts(was.verdict, now.verdict), note=shorten(note, _WIDTH),
                evidence=tuple(found[:_SHOWN]),
            )  # fmt: skip
        elif fresh:
            yield Change(
                what="gate", name=name, before=was.verdict, after=now.verdict, effect=Effect.OTHER,
                note=f"{len(fresh)} finding{'s' if len(fresh) > 1 else ''} that it did not have"
                f"{_tools(was, now)}",
                evidence=tuple(found[:_SHOWN]),
            )  # fmt: skip
        yield from _checks(was, now)


def _verdicts(before: GateVerdict, after: GateVerdict) -> Effect:
    """A pass that is none any more is lost, whatever came in its place."""
    if before is GateVerdict.PASS:
        return Effect.WORSE
    if after is GateVerdict.PASS:
        return Effect.BETTER
    return Effect.OTHER


def _checks(was: GateResult, now: GateResult) -> Iterator[Change]:
    """The checks that turned, where the gate ran both times."""
    if was.verdict not in _RAN or now.verdict not in _RAN:
        return
    old = {check.id: check for check in was.checks}
    for check in now.checks:
        before = old.get(check.id)
        if before is None or before.verdict is check.verdict:
            continue
        effect = Effect.OTHER
        if before.verdict is Verdict.PASS:
            effect = Effect.WORSE
        elif check.verdict is Verdict.PASS:
            effect = Effect.BETTER
        yield Change(
            what="check", name=f"{now.name}:{check.id}", before=before.verdict,
            after=check.verdict, effect=effect, note=shorten(check.summary, _WIDTH),
            evidence=check.evidence[:1],
        )  # fmt: skip


def _new_findings(was: GateResult, now: GateResult) -> list[Finding]:
    """Open findings whose fingerprint the old gate did not have as often."""
    left = Counter(one.fingerprint for one in was.findings if one.suppressed_by is None)
    fresh = []
    for one in now.findings:
        if one.suppressed_by is not None:
            continue
        if left[one.fingerprint]:
            left[one.fingerprint] -= 1
        else:
            fresh.append(one)
    return fresh if was.provenance is not None else []


def _tools(was: GateResult, now: GateResult) -> str:
    """Which tools of a gate are of another version, for their rules are not the catalog's."""
    if was.provenance is None or now.provenance is None:
        return ""
    before, after = was.provenance.tools, now.provenance.tools
    told = [
        f"{name} {before[name]} is now {after[name]}"
        for name in sorted(before.keys() & after.keys())
        if before[name] != after[name]
    ]
    return f"; {', '.join(told)}" if told else ""
