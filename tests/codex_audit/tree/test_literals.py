from __future__ import annotations

import re

import pytest

from codex_audit.tree.literals import needed_texts


@pytest.mark.parametrize(
    ("expression", "needed"),
    [
        ("(?i).*(Save|store)_x?", {"save", "store"}), (r"(.*\.)?\w*build\w*", {"build"}),
        ("(ab|cd)?x", set()), ("a|b", set()), ("ab|c?", set()), ("[ab]c", set()), ("(?:ab)+c", {"ab"}),
        ("(?!no)", set()), ("(?<!x)yes", {"yes"}), ("^ab$", {"ab"}), ("(?:ab)*cd{2}", {"cd"}), ("(?:ab)*cd?", set()), ("abc?d", {"ab"}), ("ab{0,2}", set()),
        ("x(ab|cd)", {"xab", "xcd"}), ("loss|los", {"los"}), ("(?>ab)c", {"ab"}), ("", set()),
        (r"a\x42\.[^\]x]+", {"ab."}), (r"(?P<q>[\'])no(?P=q)", {"no"}), (r"(x)\1yes", {"yes"}), ("(?i:AB)(cd|)", {"ab"}),
        ("ab(?=cd)e", {"abe"}), ("((ab|c)d)?", set()), ("{ab}", {"{ab}"}), ("(?x) ab # no", set()), ("[]ab]cd", {"cd"}),
    ],
)  # fmt: skip
def test_what_every_match_has_in_it(expression: str, needed: set[str]) -> None:
    assert needed_texts(expression) == needed


def test_an_invalid_expression_is_an_error() -> None:
    with pytest.raises(re.error):
        needed_texts("(")
