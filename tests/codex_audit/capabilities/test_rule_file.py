"""A file of added rules is refused with its key and a remedy, or read whole."""

from __future__ import annotations

from importlib.resources import files

import pytest
from rule_texts import BODY, GOOD, HEAD, met

from codex_audit.capabilities.catalog import CatalogError, load_catalog
from codex_audit.capabilities.rule_file import read_rule_file


def test_a_sound_file_is_read() -> None:
    file = read_rule_file("house.toml", GOOD)
    assert (file.id, file.title, list(file.criteria)) == ("house", "House rules", ["card"])
    assert [(key, signal.call) for key, signal in file.signals()] == [
        ("criteria.card.met[0]", "*write_card")
    ]


@pytest.mark.parametrize("capability", load_catalog().capabilities)
def test_shipped_rules_hold_to_the_same_checks(capability: str) -> None:
    folder = files("codex_audit.capabilities") / capability
    head = folder.joinpath("capability.toml").read_text(encoding="utf-8")
    criteria = load_catalog().capabilities[capability].criteria
    parts = [
        f"[criteria.{name}]\n" + folder.joinpath(f"{name}.toml").read_text(encoding="utf-8")
        for name in criteria
    ]
    text = "\n".join([head.partition("criteria = [")[0], *parts])
    assert list(read_rule_file(capability, text).criteria) == list(criteria)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("id = [", ["not valid TOML", "mend that line"]),
        ("id = " + "1" * 5000, ["not valid TOML"]),
        ("id = " + "[" * 5000, ["nested too deeply"]),
        (GOOD.replace('id = "house"\n', ""), ["id: missing key", "add it"]),
        (GOOD.replace('id = "house"', "id = 3"), ["id: expected `str`, got `int`", "correct"]),
        (GOOD.replace('"house"', '"House"'), ["id: 'House' is no identifier", "lower-case"]),
        (GOOD.replace("criteria.card", "criteria.Card"), ["criteria.Card", "no identifier"]),
        (HEAD + "[criteria]\n", ["criteria: there is none", "[criteria.some_name]"]),
        (GOOD.replace("why = \"We agreed on them.\"\n", ""), ["why: missing key"]),
        (GOOD.replace('title = "House rules"\n', ""), ["title: missing key"]),
        ("titel = 1\n" + GOOD, ["titel: unknown key", "did you mean 'title'?"]),
        (GOOD + 'stubz = "("\n', ["criteria.card.stubz: unknown key", "known keys: question"]),
        (HEAD + 'stubs = "("\n' + BODY + 'met = [{ call = "a" }]', ["stubs: '('", "no regular"]),
        (GOOD.replace("gap", "gapp"), ["criteria.card.gap", "did you mean 'gap'?"]),
        (GOOD.replace('gap = "no card"\n', ""), ["criteria.card.gap: missing key", "add it"]),
        (GOOD.replace('"no card"', '" "'), ["criteria.card.gap: it is empty", "one sentence"]),
        (GOOD.replace("impact = 2", "impact = 4"), ["criteria.card.impact", "<= 3"]),
        (HEAD + BODY, ["criteria.card.met", "nothing decides it"]),
        (GOOD + 'proven_by = ["tests"]\n', ["criteria.card.proven_by", "gate:check"]),
        (met('{ cal = "a" }'), ["criteria.card.met[0].cal: unknown key", "did you mean 'call'?"]),
        (met("{ call = 3 }"), ["criteria.card.met[0].call: expected `str | array", "got `int`"]),
        (met('{ call = "a", key = "b" }'), ["criteria.card.met[0]: a signal names one kind", "`call` and `key`", "split"]),
        (met('{ value = "b" }'), ["criteria.card.met[0]: a signal without a kind", "call"]),
        (met('{ call = "a", value = "(" }'), ["criteria.card.met[0].value: '('", "no regular expression", "mend"]),
        (met('{ call = "a", value = "a)|(b" }'), ["criteria.card.met[0].value", "no regular expression"]),
        (met('{ call = "a", kw = { x = "[" } }'), ["criteria.card.met[0].kw.x: '['"]),
        (met('{ call = "re:(" }'), ["criteria.card.met[0].call: '('"]),
        (met('{ call = "a", path = ["b", "re:["] }'), ["criteria.card.met[0].call: '['"]),
        (met('{ call = [] }'), ["criteria.card.met[0].call: it names nothing"]),
        (met('{ call = "" }'), ["criteria.card.met[0].call: it names nothing"]),
        (met('{ call = "a", roles = ["tests"] }'), ["met[0].roles: no role 'tests'", "core"]),
        (met('{ call = "a", at_least = 0 }'), ["met[0].at_least: it is below 1"]),
        (met('{ call = "a", deep = 2 }'), ["met[0].deep: `call` follows no calls"]),
        (met('{ calls = [{ call = "a(" , value = "(" }] }'), ["met[0].calls[0].value"]),
        (met('{ call = "a", min = "2.6" }'), ["met[0].min", "beside `requirement`"]),
        (met('{ requirement = "torch", min = "two" }'), ["met[0].min: 'two'"]),
        (met('{ call = "a", within = "line" }'), ["met[0].within: invalid enum value 'line'"]),
        (met('{ all = [{ call = "a" }], value = "x" }'), ["met[0].value: `all` has no value of its own"]),
        (met('{ all = [{ none = [{ call = "a" }] }] }'), ["met[0].all: it holds nothing but `none`"]),
        (met("{ any = [] }"), ["met[0].any: it is empty"]),
        (met('{ none = [{ call = "a" }] }'), ["met[0].none: it stands alone", "`unless`"]),
        (met('{ any = [{ all = [{ call = "(" , value = "(" }] }] }'), ["met[0].any[0].all[0].value"]),
    ],
)  # fmt: skip
def test_a_wrong_file_names_file_key_and_remedy(text: str, words: list[str]) -> None:
    with pytest.raises(CatalogError) as caught:
        read_rule_file("audit/house.toml", text)
    message = str(caught.value)
    assert message.startswith("audit/house.toml: ")
    assert "; " in message or "mend" in message
    assert "\n" not in message
    for word in words:
        assert word in message
