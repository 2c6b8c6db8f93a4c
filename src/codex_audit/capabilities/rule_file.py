"""One file of rules that somebody added: read, and checked key by key."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any

import msgspec
import tomli

from codex_audit.capabilities.catalog import CatalogError, globs
from codex_audit.capabilities.model import COMBINATORS, FACT_KINDS, CriterionRule, Signal
from codex_audit.tree.patterns import union
from codex_audit.tree.roles import RANK

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,59}")
# What is asked of a single fact, and means nothing for a combination of signals.
_OF_A_FACT = ("value", "not_value", "kw", "no_kw", "tag", "not_tag", "scope", "path", "not_path",
              "roles", "min")  # fmt: skip
_VERSION = re.compile(r"\d+(\.\d+)*")
_PROOF = re.compile(r"[\w-]+:\w+")


class RuleFile(msgspec.Struct, frozen=True, kw_only=True):
    """The rules of one file. Without a `title` it adds to a capability that is there already.

    `source` names the file in messages and in the document.
    """

    source: str
    id: str
    title: str
    why: str
    subject: str
    stubs: str
    entrances_first: bool
    criteria: dict[str, CriterionRule]

    def wrong(self, key: str, what: str, remedy: str) -> CatalogError:
        """The error that a key of this file is."""
        return wrong(self.source, key, what, remedy)

    def signals(self) -> Iterator[tuple[str, Signal]]:
        """Every signal with its key, combinations as well as what they are made of."""
        for name, rule in self.criteria.items():
            for part in ("met", "unless", "shown", "near"):
                yield from _deep(f"criteria.{name}.{part}", getattr(rule, part))


class _Head(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: str
    criteria: dict[str, dict[str, Any]]
    title: str = ""
    why: str = ""
    subject: str = ""
    stubs: str = ""
    entrances_first: bool = False


def wrong(source: str, key: str, what: str, remedy: str) -> CatalogError:
    """A catalog error in the one form that all have: file, key, what is wrong, remedy."""
    return CatalogError(f"{source}: {key}: {what}; {remedy}")


def read_rule_file(source: str, text: str) -> RuleFile:
    """The rules that `text` declares, each sound by itself.

    Whether what they refer to exists is for the catalog as a whole to say.

    Raises:
        CatalogError: the text is no TOML, or a key is unknown, missing, of the wrong type or
            makes no sense.
    """
    try:
        return _read(source, text)
    except RecursionError as error:
        raise CatalogError(f"{source}: nested too deeply to be read; make it flatter") from error


def _read(source: str, text: str) -> RuleFile:
    try:
        data = tomli.loads(text)
    except ValueError as error:  # also an integer of more digits than Python reads
        raise CatalogError(f"{source}: not valid TOML ({error}); mend that line") from error
    head: _Head = _convert(source, "", data, _Head)
    criteria: dict[str, CriterionRule] = {
        name: _convert(source, f"criteria.{name}", table, CriterionRule)
        for name, table in head.criteria.items()
    }
    file = RuleFile(
        source=source,
        id=head.id,
        title=head.title,
        why=head.why,
        subject=head.subject,
        stubs=head.stubs,
        entrances_first=head.entrances_first,
        criteria=criteria,
    )
    _check_head(file)
    for name, rule in criteria.items():
        _check_criterion(file, name, rule)
    for key, signal in file.signals():
        _check_signal(file, key, signal)
    return file


def _convert(source: str, place: str, table: Any, kind: type[Any]) -> Any:
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        message, _, inner = str(error).partition(" - at `$")
        path = inner.rstrip("`").replace("[...]", "")
        within = f"{place}{path}".strip(".")
        field = re.search(r"(unknown|missing required) field `([^`]+)`", message)
        if field is None:
            said = f"{message[0].lower()}{message[1:]}"
            raise wrong(source, within or "(the file)", said, "correct the value") from error
        name = field.group(2)
        key = f"{within}.{name}".strip(".")
        if field.group(1) != "unknown":
            raise wrong(source, key, "missing key", "add it") from error
        # A path inside of a criterion can only lead to a signal.
        fields = msgspec.structs.fields(Signal if path else kind)
        known = [each.encode_name for each in fields]
        near = difflib.get_close_matches(name, known, n=1)
        remedy = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
        raise wrong(source, key, "unknown key", remedy) from error


def _check_head(file: RuleFile) -> None:
    for key, name in (("id", file.id), *((f"criteria.{name}", name) for name in file.criteria)):
        if not IDENTIFIER.fullmatch(name):
            raise file.wrong(
                key,
                f"{name!r} is no identifier",
                "use lower-case letters, digits and `_`, at most 60, a letter first",
            )
    if not file.criteria:
        raise file.wrong("criteria", "there is none", "declare one as [criteria.some_name]")
    if file.title and not file.why:
        raise file.wrong("why", "missing key", "say in a sentence why the capability matters")
    if file.why and not file.title:
        raise file.wrong("title", "missing key", "give the new capability a title")
    if file.stubs:
        _check_expression(file, "stubs", file.stubs)


def _check_criterion(file: RuleFile, name: str, rule: CriterionRule) -> None:
    key = f"criteria.{name}"
    for part in ("question", "why", "gap", "remedy"):
        if not getattr(rule, part).strip():
            raise file.wrong(f"{key}.{part}", "it is empty", "write one sentence for the reader")
    if not rule.met and not rule.unless:
        raise file.wrong(
            f"{key}.met",
            "neither `met` nor `unless` is given, so nothing decides it",
            "add the signals that meet it",
        )
    for proof in rule.proven_by:
        if not _PROOF.fullmatch(proof):
            raise file.wrong(
                f"{key}.proven_by",
                f"{proof!r} is not of the form gate:check",
                "write for instance 'tests:tests_pass'",
            )


def _check_signal(file: RuleFile, key: str, signal: Signal) -> None:
    given = [kind for kind in (*FACT_KINDS, *COMBINATORS) if signal.operand(kind) is not None]
    if len(given) > 1:
        named = " and ".join(f"`{kind}`" for kind in given)
        raise file.wrong(
            key,
            f"a signal names one kind, not {named}",
            "split it into two signals, or combine them with `all`",
        )
    if not given:
        raise file.wrong(
            key, "a signal without a kind", f"name one of {', '.join((*FACT_KINDS, *COMBINATORS))}"
        )
    kind = given[0]
    if kind in COMBINATORS:
        _check_combination(file, key, kind, signal)
    else:
        _check_leaf(file, f"{key}.{kind}", signal)
    for part, expression in (
        ("value", signal.value),
        ("not_value", signal.not_value),
        ("scope", signal.scope),
        *((f"kw.{word}", text) for word, text in signal.kw.items()),
    ):
        if expression is not None:
            _check_expression(file, f"{key}.{part}", expression)
    for role in signal.roles:
        if role != "*" and role not in RANK:
            known = ", ".join(RANK)
            raise file.wrong(f"{key}.roles", f"no role {role!r}", f"there are {known}, and '*'")
    if signal.at_least < 1:
        raise file.wrong(f"{key}.at_least", "it is below 1", "give a number of files")
    if signal.deep != 1 and kind != "calls":
        raise file.wrong(f"{key}.deep", f"`{kind}` follows no calls", "use it beside `calls`")
    if signal.min is not None and not (kind == "requirement" and _VERSION.fullmatch(signal.min)):
        raise file.wrong(
            f"{key}.min",
            f"{signal.min!r} is no lowest version of a requirement",
            "use it beside `requirement`, as in min = '2.6'",
        )


def _check_combination(file: RuleFile, key: str, kind: str, signal: Signal) -> None:
    plain = Signal()
    useless = [part for part in _OF_A_FACT if getattr(signal, part) != getattr(plain, part)]
    if useless:
        raise file.wrong(
            f"{key}.{useless[0]}",
            f"`{kind}` has no {useless[0]} of its own",
            f"move it into the signals inside of `{kind}`",
        )
    parts = signal.operand(kind)
    if not parts:
        raise file.wrong(f"{key}.{kind}", "it is empty", "name what it combines, or leave it out")
    if kind == "all" and all(part.none_ is not None for part in signal.all_ or ()):
        raise file.wrong(f"{key}.all", "it holds nothing but `none`", "add what must be found")
    if kind == "none" and not re.search(r"\.all\[\d+\]$", key):
        raise file.wrong(f"{key}.none", "it stands alone", "put it into an `all`, or use `unless`")


def _check_leaf(file: RuleFile, key: str, signal: Signal) -> None:
    names = globs(signal)
    if not names or not all(names):
        raise file.wrong(key, "it names nothing", "give the names to look for, '*' for any")
    groups: tuple[Sequence[str] | str, ...] = (
        names, signal.tag, signal.not_tag, signal.path, signal.not_path,
    )  # fmt: skip
    for group in groups:
        for pattern in (group,) if isinstance(group, str) else group:
            if pattern.startswith("re:"):
                _check_expression(file, key, pattern[3:])


def _check_expression(file: RuleFile, key: str, expression: str) -> None:
    try:
        re.compile(expression)
        union([expression])
    except (re.error, OverflowError) as error:
        raise file.wrong(
            key, f"{expression!r} is no regular expression ({error})", "mend it"
        ) from error


def _deep(key: str, signals: Sequence[Signal]) -> Iterator[tuple[str, Signal]]:
    for index, signal in enumerate(signals):
        place = f"{key}[{index}]"
        yield place, signal
        for kind, parts in (
            ("all", signal.all_), ("any", signal.any_), ("none", signal.none_),
            ("calls", signal.calls), ("surely", signal.surely),
        ):  # fmt: skip
            yield from _deep(f"{place}.{kind}", parts or ())
