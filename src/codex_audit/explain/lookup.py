"""`codex-audit explain ID`: finding what has an identifier, and saying what there is to say."""

from __future__ import annotations

import difflib
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from codex_audit.capabilities.extension import full_catalog
from codex_audit.explain.criterion import criterion_text
from codex_audit.explain.reported import reported_text, semgrep_rules
from codex_audit.explain.signals import signal_texts
from codex_audit.explain.text import heading, joined, listed, named
from codex_audit.explain.words import load_words
from codex_audit.gates.base import all_gates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from codex_audit.capabilities.catalog import Catalog
    from codex_audit.explain.words import Word
    from codex_audit.gates.base import Gate
    from codex_audit.settings import Settings

# Kind of word -> what one is called, and the heading of all.
_KINDS = {
    "check": ("check", "Checks of gates"),
    "rule": ("rule", "Rules"),
    "cause": ("cause of an error", "Causes of captured errors"),
    "step": ("step", "Steps in which errors are captured"),
    "phase": ("phase", "Phases"),
    "word": ("word", "Words of the document"),
}


class UnknownIdentifierError(LookupError):
    """Nothing has that identifier; the message gives the nearest ones."""


class _Entry(NamedTuple):
    """Something that can be explained, by any of its names."""

    names: tuple[str, ...]
    text: Callable[[], str]


def listing(root: Path, settings: Settings) -> str:
    """Every identifier that can be explained, with what it is."""
    catalog = full_catalog(root, settings.catalog)
    lines = ["Gates", *(f"  {gate.name}: {gate.title}" for gate in all_gates().values())]
    for capability in catalog.capabilities.values():
        lines += ["", f"{capability.id}: {capability.title}"]
        lines += [
            f"  {capability.id}.{name}: {rule.question}"
            for name, rule in capability.criteria.items()
        ]
    lines += ["", "Subjects", *(f"  {name}" for name in catalog.subjects)]
    lines += ["", "Kinds of repositories"]
    lines += [f"  {name}: {one.means}" for name, one in catalog.kinds.items()]
    lines += ["", "Frameworks"]
    lines += [f"  {name}: {one.title}" for name, one in catalog.frameworks.items()]
    for kind, words in load_words().items():
        lines += ["", _KINDS[kind][1]]
        lines += [f"  {name}: {word.what}" for name, word in words.items()]
    return "\n".join(lines)


def explain_text(identifier: str, root: Path, settings: Settings) -> str:
    """What there is to say of `identifier`, for the repository at `root`.

    A criterion is named `capability.criterion` or by its own name, a check `gate:check` or by its
    own name. Where several things have one name, all are explained.

    Raises:
        UnknownIdentifierError: nothing has that identifier.
        CatalogError: rules that settings or installed packages add cannot be used.
    """
    entries = list(_entries(full_catalog(root, settings.catalog), root))
    found = [entry for entry in entries if identifier in entry.names]
    if not found:
        found = [
            entry
            for entry in entries
            if identifier.casefold() in (name.casefold() for name in entry.names)
        ]
    if found:
        return "\n\n".join(entry.text() for entry in found)
    reported = reported_text(identifier, root / settings.out / "outcomes")
    if reported:
        return reported
    known = list(dict.fromkeys(name for entry in entries for name in entry.names))
    near = difflib.get_close_matches(identifier, known, n=3, cutoff=0.5)
    hint = (
        f"did you mean {', '.join(near)}?"
        if near
        else (
            "`codex-audit explain` lists all, bar rules of tools, which are known once a gate has "
            "reported them"
        )
    )
    raise UnknownIdentifierError(f"nothing is called {identifier!r}; {hint}")


def _entries(catalog: Catalog, root: Path) -> Iterator[_Entry]:
    for gate in all_gates().values():
        yield _Entry((gate.name,), partial(_gate, gate))
    for name, capability in catalog.capabilities.items():
        yield _Entry((name,), partial(_capability, catalog, name))
        for own in capability.criteria:
            yield _Entry((f"{name}.{own}", own), partial(criterion_text, catalog, name, own))
    for name in catalog.subjects:
        yield _Entry((name,), partial(_subject, catalog, name))
    for name in catalog.kinds:
        yield _Entry((name,), partial(_kind, catalog, name))
    for name in catalog.frameworks:
        yield _Entry((name,), partial(_framework, catalog, name))
    for kind, words in load_words().items():
        for name, word in words.items():
            names = (name, *(f"{gate}:{name}" for gate in word.gates))
            yield _Entry(names, partial(_word, catalog, kind, name, word))
    for name, text in semgrep_rules(root).items():
        yield _Entry((name,), partial(str, text))


def _gate(gate: Gate) -> str:
    checks = [
        f"{name}: {word.what}"
        for name, word in load_words()["check"].items()
        if gate.name in word.gates
    ]
    return joined(
        heading("gate", f"{gate.name} (phase {gate.phase})", gate.title),
        named("Why", gate.why),
        listed("Checks", checks),
    )


def _capability(catalog: Catalog, name: str) -> str:
    rule = catalog.capabilities[name]
    criteria = [f"{own}: {one.question}" for own, one in rule.criteria.items()]
    return joined(
        heading("capability", name, rule.title),
        named("Why", rule.why),
        listed("Criteria", criteria),
    )


def _subject(catalog: Catalog, name: str) -> str:
    about = [
        f"{capability.id}.{own}"
        for capability in catalog.capabilities.values()
        for own, rule in capability.criteria.items()
        if name == (capability.subject if rule.subject is None else rule.subject)
    ]
    return joined(
        heading("subject", name, f"Where it is absent, {catalog.subjects[name].reason}."),
        listed("Then these do not apply", about),
    )


def _kind(catalog: Catalog, name: str) -> str:
    rule = catalog.kinds[name]
    return joined(
        heading("kind", name, f"{rule.title}: {rule.means}."),
        named("Where settings declare it, this is there", ", ".join(rule.has)),
        named("Where settings declare it, this is not there", ", ".join(rule.without)),
        listed("Inferred where one of these is found", signal_texts(rule.met)),
    )


def _framework(catalog: Catalog, name: str) -> str:
    rule = catalog.frameworks[name]

    def claims(*, default: bool) -> list[str]:
        return [
            f"{', '.join(claim.criteria)}: {claim.text}"
            + (f" ({claim.versions})" if claim.versions else "")
            + f"; see {claim.reference}"
            for claim in rule.claims
            if default is (len(claim.needs) == 1)
        ]

    return joined(
        heading("framework", name, rule.title),
        named("Its version is that of", ", ".join(rule.packages)),
        listed("Provides by default", claims(default=True)),
        listed("Provides where it is turned on", claims(default=False)),
    )


def _word(catalog: Catalog, kind: str, name: str, word: Word) -> str:
    judged = [
        f"{capability.id}.{own}"
        for capability in catalog.capabilities.values()
        for own, rule in capability.criteria.items()
        if kind == "check" and {f"{gate}:{name}" for gate in word.gates} & set(rule.proven_by)
    ]
    return joined(
        heading(_KINDS[kind][0], name, word.what),
        named("Gate", ", ".join(word.gates)),
        named("Why", word.why),
        listed("Written for", list(word.catches)),
        listed("Confirms or refutes", judged),
        named("Remedy", word.remedy),
    )
