"""The catalog, read from its files: capabilities, subjects and frameworks, checked as a whole."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import msgspec
import tomli

from codex_audit import __version__
from codex_audit.capabilities.accuracy import experimental, load_accuracy
from codex_audit.capabilities.model import (
    COMBINATORS,
    CapabilityRule,
    CriterionRule,
    FrameworkRule,
    KindRule,
    Signal,
    SubjectRule,
)
from codex_audit.tree.patterns import name_matcher, union

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

_FRAMEWORKS = "frameworks/"
# The file of a capability's folder that is no criterion.
_HEAD = "capability.toml"
# Where documents are read for what they speak of; a list of changes speaks of everything.
_NO_DOCUMENTS = ("*CHANGELOG*", "*CHANGES*", "*HISTORY*", "*NEWS*", "*LICEN[CS]E*")


class CatalogError(ValueError):
    """A catalog file that cannot be used; the message names the file, the key and the remedy."""


class Catalog(msgspec.Struct, frozen=True):
    """All rules; `version` changes with the program and with any rule.

    `mentions`: `capability.criterion` -> signals by which documents speak of it.
    `added` maps each `capability.criterion` that is not shipped to the file that declares it;
    `experimental` are those that are shown and not graded.
    """

    version: str
    capabilities: dict[str, CapabilityRule]
    subjects: dict[str, SubjectRule]
    frameworks: dict[str, FrameworkRule]
    kinds: dict[str, KindRule]
    mentions: dict[str, tuple[Signal, ...]] = {}
    added: dict[str, str] = {}
    experimental: frozenset[str] = frozenset()

    def signals(self) -> Iterator[Signal]:
        """Every signal of the catalog, combinations as well as what they are made of."""
        for capability in self.capabilities.values():
            for rule in capability.criteria.values():
                yield from deep((*rule.met, *rule.unless, *rule.shown, *rule.near))
        for subject in self.subjects.values():
            yield from deep((*subject.met, *subject.unless))
        for kind in self.kinds.values():
            yield from deep(kind.met)
        for framework in self.frameworks.values():
            for signals in (*framework.signals.values(), *framework.removed.values()):
                yield from deep(signals)
        for mention in self.mentions.values():
            yield from mention


class _Head(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `capability.toml` says: a `CapabilityRule` with the order of its criteria only."""

    id: str
    title: str
    why: str
    criteria: tuple[str, ...]
    subject: str = ""
    stubs: str = ""
    entrances_first: bool = False


class _Subjects(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    subjects: dict[str, SubjectRule]


class _Kinds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    kinds: dict[str, KindRule]


_Mentions = dict[str, dict[str, tuple[str, ...]]]


@cache
def load_catalog() -> Catalog:
    """The catalog that this program ships.

    Raises:
        CatalogError: a file is not of the catalog's form.
    """
    texts = _texts()
    doubtful = experimental(load_accuracy())
    parts = [*(f"{name}\0{text}" for name, text in texts.items()), *sorted(doubtful)]
    digest = hashlib.sha256("\0".join(parts).encode())
    folders = [name.removesuffix(_HEAD) for name in texts if name.endswith(f"/{_HEAD}")]
    rules = [_capability(folder, texts) for folder in folders]
    return Catalog(
        version=f"{__version__}+{digest.hexdigest()[:8]}",
        capabilities={rule.id: rule for rule in rules},
        subjects=_read("subjects.toml", texts["subjects.toml"], _Subjects).subjects,
        frameworks={
            name.removeprefix(_FRAMEWORKS).removesuffix(".toml"): _read(name, text, FrameworkRule)
            for name, text in texts.items()
            if name.startswith(_FRAMEWORKS)
        },
        kinds=_read("kinds.toml", texts["kinds.toml"], _Kinds).kinds,
        mentions=_mentions(_read("mentions.toml", texts["mentions.toml"], _Mentions)),
        experimental=doubtful,
    )


def _texts() -> dict[str, str]:
    """The catalog's files by their paths."""
    folder = files("codex_audit.capabilities")
    places = [("", folder)]
    places += [(f"{entry.name}/", entry) for entry in folder.iterdir() if entry.is_dir()]
    return {
        prefix + entry.name: entry.read_text(encoding="utf-8")
        for prefix, place in sorted(places, key=lambda each: each[0])
        for entry in sorted(place.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".toml")
    }


def _capability(folder: str, texts: dict[str, str]) -> CapabilityRule:
    """The capability whose criteria are the files of `folder`, in the order that its head gives."""
    head: _Head = _read(folder + _HEAD, texts[folder + _HEAD], _Head)
    there = [
        name.removeprefix(folder).removesuffix(".toml")
        for name in texts
        if name.startswith(folder) and name != folder + _HEAD
    ]
    for missing in [name for name in head.criteria if name not in there]:
        raise CatalogError(f"{folder}{_HEAD}: criteria: there is no {folder}{missing}.toml; add it")
    criteria: dict[str, CriterionRule] = {
        name: _read(f"{folder}{name}.toml", texts[f"{folder}{name}.toml"], CriterionRule)
        for name in dict.fromkeys((*head.criteria, *there))
    }
    return CapabilityRule(**{**msgspec.structs.asdict(head), "criteria": criteria})


def _mentions(mentions: _Mentions) -> dict[str, tuple[Signal, ...]]:
    """The signals that ask documents for expressions: headings, prose and what they show to run."""
    return {
        f"{capability}.{criterion}": tuple(
            msgspec.convert({kind: "*", "value": expression, "not_path": _NO_DOCUMENTS}, Signal)
            for expression in expressions
            for kind in ("heading", "prose", "code")
        )
        for capability, criteria in mentions.items()
        for criterion, expressions in criteria.items()
    }


def globs(signal: Signal) -> tuple[str, ...]:
    """The name patterns of a signal that asks about facts."""
    operand: Any = signal.operand(signal.kind)
    return (operand,) if isinstance(operand, str) else tuple(operand)


def deep(signals: Iterable[Signal]) -> Iterator[Signal]:
    """The signals and all that they are made of."""
    for signal in signals:
        yield signal
        yield from deep(signal.all_ or ())
        yield from deep(signal.any_ or ())
        yield from deep(signal.none_ or ())
        yield from deep(signal.calls or ())
        yield from deep(signal.surely or ())


def _read(name: str, text: str, kind: type[Any]) -> Any:
    try:
        return msgspec.convert(tomli.loads(text), kind)
    except tomli.TOMLDecodeError as error:
        raise CatalogError(f"{name}: not valid TOML ({error}); mend that line") from error
    except msgspec.ValidationError as error:
        raise CatalogError(f"{name}: {error}; correct that key") from error


def check(catalog: Catalog) -> None:
    """Whether every signal is sound and every reference leads somewhere.

    What is shipped is checked by the tests, not at every start.

    Raises:
        CatalogError: one is not; the message names it.
    """
    known = {
        f"{capability.id}.{criterion}"
        for capability in catalog.capabilities.values()
        for criterion in capability.criteria
    }
    for signal in catalog.signals():
        try:
            kind = signal.kind
            for expression in (signal.value, signal.not_value, signal.scope, *signal.kw.values()):
                if expression is not None:
                    union([expression])
            if kind not in COMBINATORS:
                name_matcher(globs(signal))
        except (ValueError, re.error) as error:
            raise CatalogError(f"signal {msgspec.json.encode(signal).decode()}: {error}") from error
        if signal.criterion is not None and signal.criterion not in known:
            raise CatalogError(f"signal names the unknown criterion {signal.criterion!r}")
    for framework_id, framework in catalog.frameworks.items():
        _check_framework(f"{_FRAMEWORKS}{framework_id}.toml", framework, known)
    _check_kinds(catalog)
    if unknown := sorted(catalog.mentions.keys() - known):
        raise CatalogError(f"mentions.toml: unknown criterion {unknown[0]!r}")
    for capability in catalog.capabilities.values():
        for subject in (
            capability.subject,
            *(rule.subject for rule in capability.criteria.values()),
        ):
            if subject and subject not in catalog.subjects:
                raise CatalogError(f"{capability.id}: unknown subject {subject!r}")


def _check_framework(name: str, rule: FrameworkRule, known: Container[str]) -> None:
    for number, claim in enumerate(rule.claims):
        where = f"{name}: claims[{number}]"
        for key in claim.criteria:
            if key not in known:
                raise CatalogError(f"{where}.criteria: unknown criterion {key!r}; correct it")
        for need in claim.needs:
            if need not in rule.signals:
                raise CatalogError(f"{where}.needs: {need!r} is none of [signals]; add it there")
        for key in ("since", "until"):
            if getattr(claim, key) and not rule.packages:
                raise CatalogError(f"{where}.{key}: whose version? Name it in `packages`")
    needed = {need for claim in rule.claims for need in claim.needs}
    for unused in rule.signals.keys() - needed:
        raise CatalogError(f"{name}: signals.{unused}: no claim needs it; remove it")


def _check_kinds(catalog: Catalog) -> None:
    for name, kind in catalog.kinds.items():
        for subject in (*kind.has, *kind.without):
            if subject not in catalog.subjects:
                raise CatalogError(f"kinds.toml: {name}: unknown subject {subject!r}")
        for subject in {*kind.has} & {*kind.without}:
            raise CatalogError(f"kinds.toml: {name}: {subject!r} is in `has` and `without`")
        for other in kind.also:
            if other not in catalog.kinds:
                raise CatalogError(f"kinds.toml: {name}.also: unknown kind {other!r}")
    last = list(catalog.kinds)[-1:]
    if [name for name, kind in catalog.kinds.items() if not kind.met] != last:
        raise CatalogError(
            "kinds.toml: exactly the last kind has no `met`, so that some kind always holds; "
            "give the others signals and the last one none"
        )
