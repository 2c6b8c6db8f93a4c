"""What is looked for first never hides what the expressions themselves would find."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from codex_audit.capabilities.catalog import globs, load_catalog
from codex_audit.tree.literals import needed_texts
from codex_audit.tree.patterns import NameIndex, Pattern, union

FIXTURES = Path(__file__).parents[2] / "fixtures/criteria"
TEXT = "\n".join(path.read_text() for path in sorted(FIXTURES.rglob("*.py"))[::9])
NAMES = sorted(set(re.findall(r"[A-Za-z_][\w.]*", TEXT)))
LINES = sorted({line.strip() for line in TEXT.splitlines()})


@pytest.mark.parametrize("kind", ["call", "assign", "key", "def"])
def test_an_index_finds_whom_each_pattern_fits(kind: str) -> None:
    signals = [signal for signal in load_catalog().signals() if signal.kind == kind]
    asked = [
        (Pattern(glob), number) for number, signal in enumerate(signals) for glob in globs(signal)
    ]
    index = NameIndex(asked)
    found = 0
    for name in NAMES:
        one_by_one = tuple(sorted({number for pattern, number in asked if pattern.fits(name)}))
        assert index.owners(name) == one_by_one, name
        found += len(one_by_one)
    assert found > len(NAMES)


def test_each_value_that_an_expression_finds_has_what_it_needs() -> None:
    expressions = {signal.value for signal in load_catalog().signals() if signal.value}
    found = 0
    for expression in expressions:
        needs = needed_texts(expression)
        for line in filter(union([expression]).search, LINES):
            found += 1
            assert not needs or any(text in line.lower() for text in needs), (expression, line)
    assert found > len(expressions)
