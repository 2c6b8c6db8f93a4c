from __future__ import annotations

from codex_audit.tree.gin_facts import gin_facts


def bindings(text: str) -> list[tuple[str, str, int]]:
    return [(f.name, f.value, f.line) for f in gin_facts(text.encode())[0] if "table" not in f.tags]


def test_single_bindings_macros_and_blocks_have_their_names_and_lines() -> None:
    text = (
        "from __gin__ import dynamic_registration\n"
        "include 'base.gin'\n"
        "STEPS = 100  # of training\n"
        "train/utils.Dataset.batch_size = 128\n"
        "network.Config:\n"
        "  dtype = 'bfloat16'\n"
        "\n"
        '  name = "a # b"\n'
        "eval.period = %STEPS\n"
    )
    assert bindings(text) == [
        ("STEPS", "100", 3),
        ("train/utils.Dataset.batch_size", "128", 4),
        ("network.Config.dtype", "bfloat16", 6),
        ("network.Config.name", "a # b", 8),
        ("eval.period", "%STEPS", 9),
    ]


def test_a_value_over_several_lines_belongs_to_its_first() -> None:
    text = "chain:\n  parts = [@clip(),\n    @adam(),  # two (of them\n  ]\n  rate = 0.1\n"
    assert bindings(text) == [
        ("chain.parts", "[@clip(), @adam(), ]", 2),
        ("chain.rate", "0.1", 5),
    ]


def test_a_block_is_a_table() -> None:
    table, _ = gin_facts(b"model.Net:\n  depth = 2\n")[0]
    assert (table.name, table.line, table.tags) == ("model.Net", 1, ("table",))


def test_what_is_no_binding_gives_nothing() -> None:
    assert bindings("import models\n  - odd\nx == 1 ?\n# y = 2\n") == []


def test_a_bracket_that_is_never_closed_ends_with_the_file() -> None:
    assert bindings("a = [1,\nb = 2\n") == []
