"""Signals in words: what a rule looks for, short enough to read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_audit.capabilities.catalog import globs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from codex_audit.capabilities.model import Signal

_KINDS = {
    "import": "an import of",
    "call": "a call of",
    "def": "a function",
    "class": "a class",
    "decorator": "a decorator",
    "assign": "an assignment to",
    "key": "a string key that is written,",
    "lookup": "a string key that is read,",
    "test": "a condition of",
    "loop": "a loop,",
    "string": "a string",
    "raise": "a raised",
    "config": "a configuration key",
    "docker": "a Dockerfile's",
    "shell": "a command",
    "heading": "a heading of level",
    "code": "a line of code in documentation,",
    "prose": "a line of documentation,",
    "link": "a link to",
    "file": "a file",
    "requirement": "a requirement of",
}
_NAMES = 5
_SIGNALS = 8
_WIDTH = 70


def signal_texts(signals: Sequence[Signal]) -> list[str]:
    """The first signals, each in words, and how many more there are."""
    more = [f"and {len(signals) - _SIGNALS} more"] if len(signals) > _SIGNALS else []
    return [*map(signal_text, signals[:_SIGNALS]), *more]


def signal_text(signal: Signal) -> str:
    """What one signal looks for."""
    kind = signal.kind
    many = f" (in at least {signal.at_least} files)" if signal.at_least > 1 else ""
    if kind == "criterion":
        return f"`{signal.criterion}` is met{many}"
    if kind == "any":
        return " or ".join(f"({signal_text(part)})" for part in signal.any_ or ()) + many
    if kind == "calls":
        inner = " or ".join(f"({signal_text(part)})" for part in signal.calls or ())
        return f"a call of a function that has {inner}{many}"
    if kind == "surely":
        inner = " or ".join(f"({signal_text(part)})" for part in signal.surely or ())
        return f"outside of every branch {inner}{many}"
    if kind == "none":
        return " and ".join(f"no ({signal_text(part)})" for part in signal.none_ or ())
    if kind == "all":
        place = "the repository" if signal.within == "repo" else f"one {signal.within}"
        parts = " and ".join(
            signal_text(part) if part.none_ else f"({signal_text(part)})"
            for part in signal.all_ or ()
        )
        return f"in {place}: {parts}{many}"
    names = globs(signal)
    told = "any" if "*" in names else _some(names, " or ")
    said = f"{_KINDS[kind]} {told}".replace(", any", "")
    if (kind, names) == ("assign", ("return",)):
        said = "what a function returns"
    return ", ".join([said, *_conditions(signal)]) + many


def _conditions(signal: Signal) -> Iterator[str]:
    if signal.value is not None:
        yield f"with {_expression(signal.value)} in its text"
    if signal.not_value is not None:
        yield f"without {_expression(signal.not_value)} in its text"
    for word, expression in signal.kw.items():
        yield f"its keyword {word} fitting {_expression(expression)}"
    if signal.no_kw:
        yield f"without keyword {_some(signal.no_kw, ' or ')}"
    for said, patterns in (
        ("marked", signal.tag),
        ("not marked", signal.not_tag),
        ("at", signal.path),
        ("not at", signal.not_path),
        ("in files of role", signal.roles if "*" not in signal.roles else ()),
    ):
        if patterns:
            yield f"{said} {_some((patterns,) if isinstance(patterns, str) else patterns, ' or ')}"
    if signal.scope is not None:
        yield f"inside of {_expression(signal.scope)}"
    if signal.min is not None:
        yield f"of at least {signal.min}"


def _some(names: Sequence[str], word: str) -> str:
    shown = [
        _expression(name.removeprefix("re:")) if name.startswith("re:") else f"`{name}`"
        for name in names[:_NAMES]
    ]
    more = f" ({len(names) - _NAMES} more)" if len(names) > _NAMES else ""
    return word.join(shown) + more


def _expression(text: str) -> str:
    plain = text.removeprefix("(?i)")
    return f"/{plain}/" if len(plain) <= _WIDTH else f"/{plain[:_WIDTH]}…/"
