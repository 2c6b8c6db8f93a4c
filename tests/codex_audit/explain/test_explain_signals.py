"""Signals in words."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from codex_audit.capabilities.catalog import load_catalog
from codex_audit.capabilities.model import FACT_KINDS, Signal
from codex_audit.explain.signals import signal_text, signal_texts


@pytest.mark.parametrize(
    ("signal", "text"),
    [
        ({"call": "torch.save"}, "a call of `torch.save`"),
        ({"call": ["a", "re:b+"], "value": "(?i)x"}, "a call of `a` or /b+/, with /x/ in its text"),
        ({"call": "*", "kw": {"seed": "."}}, "a call of any, its keyword seed fitting /./"),
        ({"prose": "*", "not_value": "x"}, "a line of documentation, without /x/ in its text"),
        ({"def": "f", "tag": "method", "not_tag": ["stub"], "scope": "T"}, "a function `f`, marked `method`, not marked `stub`, inside of /T/"),
        ({"call": "f", "no_kw": ["a", "b"], "at_least": 2}, "a call of `f`, without keyword `a` or `b` (in at least 2 files)"),
        ({"file": list("abcdefg"), "roles": ["docs"]}, "a file `a` or `b` or `c` or `d` or `e` (2 more), in files of role `docs`"),
        ({"file": "a", "roles": ["*"], "path": "x/*", "not_path": "y/*"}, "a file `a`, at `x/*`, not at `y/*`"),
        ({"requirement": "torch", "min": "2.6"}, "a requirement of `torch`, of at least 2.6"),
        ({"criterion": "a.b"}, "`a.b` is met"),
        ({"any": [{"call": "a"}, {"call": "b"}]}, "(a call of `a`) or (a call of `b`)"),
        ({"all": [{"call": "a"}, {"none": [{"call": "b"}]}], "within": "scope"}, "in one scope: (a call of `a`) and no (a call of `b`)"),
        ({"all": [{"call": "a"}]}, "in the repository: (a call of `a`)"),
        ({"calls": [{"call": "a"}, {"call": "b"}]}, "a call of a function that has (a call of `a`) or (a call of `b`)"),
        ({"assign": "return", "value": "x"}, "what a function returns, with /x/ in its text"),
        ({"surely": [{"call": "a"}]}, "outside of every branch (a call of `a`)"),
    ],
)  # fmt: skip
def test_a_signal_in_words(signal: dict[str, Any], text: str) -> None:
    assert signal_text(msgspec.convert(signal, Signal)) == text


def test_long_lists_and_expressions_are_cut() -> None:
    many = tuple(Signal(call="a", value="x" * 200) for _ in range(11))
    texts = signal_texts(many)
    assert len(texts) == 9
    assert texts[-1] == "and 3 more"
    assert texts[0].endswith(f"with /{'x' * 70}…/ in its text")


def test_every_shipped_signal_has_words() -> None:
    texts = [signal_text(signal) for signal in load_catalog().signals()]
    assert len(texts) > 500
    assert all(texts)
    for kind in FACT_KINDS:
        assert signal_text(msgspec.convert({kind: "name"}, Signal)).endswith(" `name`")
