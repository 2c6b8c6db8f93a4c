from __future__ import annotations

import re

import pytest

from codex_audit.tree.patterns import TextIndex, name_matcher, union


@pytest.mark.parametrize(
    ("pattern", "fits", "not_fits"),
    [
        ("torch.save", "torch.save", "torch.saved"), ("*.save", "torch.save", "save"),
        ("*save", "save", "saver"), ("torch.*", "torch.nn.x", "mytorch.x"), ("*opt*", "the_optimizer", "other"),
        ("*", "anything", None), ("a*z", "abcz", "abc"), ("ab*ba", "abba", "aba"),
        ("a*.b.*c", "a.b.c", "a.bc"), ("a*b*c*", "a-b-b-c-", "a-c-b-"), ("*a*b", "xaxb", "ba"), ("a*bb*b", "abbb", "abb"),
        ("**x", "x", "y"), ("*.[ab]", "x.a", "x.c"),
        ("re:(?i)seed.*", "SEEDED", "reseed"),
    ],
)  # fmt: skip
def test_names(pattern: str, fits: str, not_fits: str | None) -> None:
    assert name_matcher([pattern])(fits)
    assert name_matcher(["never", pattern])(fits)
    assert not_fits is None or not name_matcher([pattern])(not_fits)


def test_nothing_fits_no_pattern() -> None:
    assert not name_matcher([])("name")


def test_each_expression_keeps_its_own_flags() -> None:
    both = union(["(?i)seed", "RNG"])
    assert both.search("SEED")
    assert both.search("RNG")
    assert not both.search("rng")
    with pytest.raises(re.error):
        union(["("])


def test_who_needs_a_text_is_found_once() -> None:
    index = TextIndex([(["save", "av"], "a"), (["load"], "b"), ([], "c"), (["ave_"], "d")])
    assert sorted(index.find("torch.save_all")) == ["a", "d"]
    assert index.find("reload, load") == ["b"]
    assert index.find("lo ad") == []
    assert index.find("") == []
    assert TextIndex[str]([]).find("save") == []
