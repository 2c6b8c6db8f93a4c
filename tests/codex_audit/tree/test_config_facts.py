from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from codex_audit.tree.config_facts import (
    ini_facts,
    json_facts,
    jsonnet_facts,
    shell_lines,
    toml_facts,
    yaml_facts,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from codex_audit.tree.facts import Fact, Problem


def scalars(facts: list[Fact]) -> list[tuple[str, str, int]]:
    return [
        (f.name, f.value, f.line) for f in facts if f.kind == "config" and "table" not in f.tags
    ]


def shells(facts: list[Fact]) -> list[tuple[str, int]]:
    return [(f.value, f.line) for f in facts if f.kind == "shell"]


def test_yaml_scalars_have_their_path_and_line_and_run_blocks_are_commands() -> None:
    facts, problem = yaml_facts(
        b"jobs:\n  test:\n    steps:\n      - uses: actions/checkout@v4\n"
        b"      - run: |\n          # set up\n          pip install -e . \\\n            --quiet\n          pytest -q\n"
    )
    assert problem is None
    assert ("jobs.test.steps.uses", "actions/checkout@v4", 4) in scalars(facts)
    assert shells(facts) == [("pip install -e . --quiet", 7), ("pytest -q", 9)]


def test_yaml_of_several_documents_and_lists() -> None:
    facts, _ = yaml_facts(b"kind: Pod\n---\nrepos: [a, b]\n")
    assert scalars(facts) == [("kind", "Pod", 1), ("repos", "a", 3), ("repos", "b", 3)]


def test_a_yaml_alias_that_contains_itself_ends() -> None:
    facts, _ = yaml_facts(b"a: &x\n  b: *x\n  c: 1\n")
    assert any(name.endswith("c") for name, _, _ in scalars(facts))


def test_toml_keys_have_their_lines() -> None:
    facts, problem = toml_facts(
        b'[project]\nname = "x"\ndependencies = [\n  "torch>=2.6",\n]\n\n[tool.ruff.lint]\nselect = ["E", "S"]\n'
        b"[[tool.mypy.overrides]]\nstrict = true\n"
    )
    assert problem is None
    assert scalars(facts) == [
        ("project.name", "x", 2), ("project.dependencies", "torch>=2.6", 3),
        ("tool.ruff.lint.select", "E", 8), ("tool.ruff.lint.select", "S", 8),
        ("tool.mypy.overrides.strict", "true", 10),
    ]  # fmt: skip


def test_a_toml_table_without_a_header_begins_where_what_it_holds_does() -> None:
    facts, _ = toml_facts(
        b"[project]\nname = 1\n[a.b]\nc.d = 1\n[a.e]\n[late.x]\n[late]\n[[tool.of.many]]\n"
    )
    tables = {fact.name: fact.line for fact in facts if fact.tags == ("table",)}
    assert tables == {
        "project": 1, "a": 3, "a.b": 3, "a.b.c": 4, "a.e": 5, "late": 7, "late.x": 6,
        "tool": 8, "tool.of": 8, "tool.of.many": 8,
    }  # fmt: skip


def test_json_and_ini_keys_have_their_lines() -> None:
    facts, _ = json_facts(b'{\n  "train": {\n    "lr": 0.1,\n    "compile": null\n  }\n}\n')
    assert scalars(facts) == [("train.lr", "0.1", 3), ("train.compile", "null", 4)]
    facts, _ = ini_facts(
        b"[tox]\nenvlist = py311\n[testenv]\ncommands =\n    pytest -q\n    mypy src\n"
    )
    assert ("tox.envlist", "py311", 2) in scalars(facts)
    assert [value for value, _ in shells(facts)] == ["pytest -q", "mypy src"]


@pytest.mark.parametrize(
    ("reader", "broken"),
    [
        (yaml_facts, b"a: [1\nb: 2\n"), (toml_facts, b"a = \n"), (json_facts, b'{"a": }\n'),
        (ini_facts, b"no section\n"), (yaml_facts, b"a: \xff\xfe\n"),
    ],
)  # fmt: skip
def test_what_does_not_parse_is_a_problem(
    reader: Callable[[bytes], tuple[list[Fact], Problem | None]], broken: bytes
) -> None:
    facts, problem = reader(broken)
    assert facts == []
    assert problem is not None
    assert problem.line >= 1


def test_templates_and_json_with_comments_are_no_problem() -> None:
    assert yaml_facts(b"{% if x %}\na: [1\n{% endif %}\n")[1] is None
    facts, problem = json_facts(b'{\n  // why\n  "a": 1,\n  # and\n}\n')
    assert [(fact.name, fact.line, fact.value) for fact in facts] == [("a", 3, "1")]
    assert problem is None
    assert json_facts(b'{\n  // why\n  "a": one\n}\n') == ([], None)


def test_shell_lines_join_continuations_and_skip_comments() -> None:
    assert [f.value for f in shell_lines("# no\n\ntorchrun \\\n  train.py\n@pytest\n", 1)] == [
        "torchrun train.py",
        "@pytest",
    ]


def test_a_launch_command_keeps_the_options_at_its_end() -> None:
    options = [f"--option_{number} {number}" for number in range(40)]
    (launch,) = shell_lines("python train.py \\\n  " + " \\\n  ".join(options) + "\n", 1)
    assert launch.value.endswith("--option_39 39")
    (longest,) = shell_lines("python train.py " + "--x 1 " * 10_000 + "\n", 1)
    assert len(longest.value) == 4000


def test_jsonnet_is_read_where_it_is_json_with_comments() -> None:
    facts, problem = jsonnet_facts(b'// why\n{\n  "a": {"b": true,},\n}\n')
    assert [(fact.name, fact.line) for fact in facts if not fact.tags] == [("a.b", 3)]
    assert problem is None
    assert jsonnet_facts(b'local a = 1;\n{"b": a}\n') == ([], None)


def test_what_a_tag_of_yaml_makes_is_its_target() -> None:
    facts, problem = yaml_facts(
        b"__set_seed: !apply:package.seed_all [1]\nlog: !new:package.Log\n  file: a.txt\n"
        b"opt: !name:torch.optim.Adam\nfolder: !ref <root>/a\nother: !custom:a.b 1\n"
    )
    assert problem is None
    assert [item for item in scalars(facts) if item[0].endswith("_target_")] == [
        ("__set_seed._target_", "package.seed_all", 1),
        ("log._target_", "package.Log", 2),
        ("opt._target_", "torch.optim.Adam", 4),
    ]
