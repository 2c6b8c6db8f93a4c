"""Added rules, from a repository's settings and from installed packages, by the user's command."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from rule_texts import BODY, GOOD, HEAD, met

from codex_audit.capabilities import time_limit
from codex_audit.capabilities.catalog import CatalogError, load_catalog
from codex_audit.capabilities.extension import full_catalog
from codex_audit.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Make = Callable[[dict[str, str]], Path]

SETTINGS = '[tool.codex-audit]\ncatalog = ["audit"]\n'
ADDING = f'id = "tokenization"\n{BODY}met = [{{ call = "*write_card" }}]\n'


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, list(arguments))
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done.exit_code, done.stdout, done.stderr


def answers(root: Path) -> dict[str, Any]:
    code, text, said = run("scan", str(root), "--format", "json")
    assert (code, said) == (0, "")
    capabilities: dict[str, Any] = json.loads(text)["capabilities"]
    return capabilities


def test_an_added_capability_is_in_every_format_after_the_shipped_ones(
    make_repository: Make,
) -> None:
    root = make_repository(
        {"pyproject.toml": SETTINGS, "audit/house.toml": GOOD, "a.py": "write_card(1)\n"}
    )
    found = answers(root)
    assert list(found)[:13] == sorted(load_catalog().capabilities)
    assert list(found)[13:] == ["house"]
    house = found["house"]
    assert house["status"] == "Implemented"
    card = house["criteria"]["card"]
    assert (card["answer"], card["added_by"]) == ("met", "audit/house.toml")
    assert card["evidence"] == [{"path": "a.py", "line": 1, "snippet": "write_card(1)"}]
    markdown = run("scan", str(root))[1]
    assert "| house | Implemented | `a.py:1` `write_card(1)` (card) | none |" in markdown
    assert "`card` (required) (added by `audit/house.toml`)" in markdown
    (root / "a.py").write_text("x = 1\n")
    assert "### house\n\nHouse rules: Missing" in run("scan", str(root))[1]
    sarif = json.loads(run("scan", str(root), "--format", "sarif")[1])
    rules = [each["ruleId"] for each in sarif["runs"][0]["results"]]
    assert "house.card" in rules
    assert run("scan", str(root), "--fail-on", "gaps")[0] == 1


def test_criteria_are_added_to_a_shipped_capability(make_repository: Make) -> None:
    root = make_repository(
        {
            "pyproject.toml": SETTINGS,
            "audit/more.toml": ADDING,
            "a.py": "import tokenizers\nt = tokenizers.Tokenizer.from_file('x')\nwrite_card(t)\n",
        }
    )
    criteria = answers(root)["tokenization"]
    shipped = list(load_catalog().capabilities["tokenization"].criteria)
    assert list(criteria["criteria"]) == [*shipped, "card"]
    assert criteria["criteria"]["card"]["answer"] == "met"
    assert criteria["criteria"]["tokenizer"]["added_by"] == ""
    # its capability's subject is its own: without a tokenizer it does not apply
    (root / "a.py").write_text("write_card(1)\n")
    criteria = answers(root)["tokenization"]
    assert criteria["criteria"]["card"]["answer"] == "not-applicable"


def test_settings_may_say_that_an_added_criterion_does_not_apply(make_repository: Make) -> None:
    reason = '[tool.codex-audit.not-applicable]\n"house.card" = "cards are out"\n'
    root = make_repository({"pyproject.toml": SETTINGS + reason, "audit/house.toml": GOOD})
    house = answers(root)["house"]
    assert (house["status"], house["criteria"]["card"]["reason"]) == (
        "Not applicable", "settings: cards are out",
    )  # fmt: skip


def test_the_version_changes_with_added_rules_only(make_tree: Make) -> None:
    root = make_tree({"one/a.toml": GOOD, "two/b.toml": GOOD, "three/a.toml": GOOD + "# new\n"})
    shipped = load_catalog().version
    versions = [full_catalog(root, [name]).version for name in ("one", "two", "three")]
    assert full_catalog(root, []).version == shipped
    assert all(version.startswith(f"{shipped}.user-") for version in versions)
    assert versions[0] == versions[1] != versions[2]


def test_a_file_that_is_named_twice_is_read_once(make_tree: Make) -> None:
    root = make_tree({"audit/a.toml": GOOD})
    catalog = full_catalog(root, ["audit", "audit/a.toml", "./audit/a.toml"])
    assert catalog.added == {"house.card": "audit/a.toml"}


def test_added_capabilities_do_not_depend_on_the_order_of_files(make_tree: Make) -> None:
    other = (
        'id = "house"\n'
        + BODY.replace(".card", ".other")
        + 'met = [{ criterion = "house.card" }]\n'
    )
    early = GOOD.replace('"house"', '"airship"')
    root = make_tree({"a.toml": other, "b.toml": GOOD, "c.toml": early})
    catalogs = [
        full_catalog(root, order)
        for order in (["a.toml", "b.toml", "c.toml"], ["c.toml", "b.toml", "a.toml"])
    ]
    for catalog in catalogs:
        assert list(catalog.capabilities)[13:] == ["airship", "house"]
        assert set(catalog.capabilities["house"].criteria) == {"card", "other"}
    assert catalogs[0].version == catalogs[1].version


@pytest.mark.parametrize(
    ("files", "named", "words"),
    [
        ({}, "audit/no.toml", ["pyproject.toml: [tool.codex-audit] catalog: 'audit/no.toml' does not exist", "correct the path"]),
        ({"audit/readme.md": ""}, "audit", ["'audit' holds no .toml file", "add one"]),
        ({}, "../other.toml", ["'../other.toml' leads out of the repository", "inside"]),
        ({}, "/etc/hosts", ["'/etc/hosts' leads out of the repository"]),
        ({"a.toml": "\x00"}, "a.toml", ["a.toml: not valid TOML"]),
        ({"a.toml": GOOD.replace("call", "cal")}, "a.toml", ["a.toml: criteria.card.met[0].cal", "did you mean 'call'?"]),
        ({"rules/a.toml": GOOD, "rules/b.toml": GOOD}, "rules", ["rules/b.toml: id: rules/a.toml has a capability 'house'", "leave out"]),
        ({"a.toml": GOOD.replace('"house"', '"tokenization"')}, "a.toml", ["a.toml: id: codex-audit itself has a capability", "choose another"]),
        ({"rules/a.toml": GOOD, "rules/b.toml": f'id = "house"\n{BODY}met = [{{ call = "x" }}]\n'}, "rules", ["rules/b.toml: criteria.card: rules/a.toml has a criterion", "choose another id"]),
        ({"a.toml": ADDING.replace("criteria.card", "criteria.tokenizer")}, "a.toml", ["a.toml: criteria.tokenizer: codex-audit itself"]),
        ({"a.toml": ADDING.replace("tokenization", "tokenisation")}, "a.toml", ["a.toml: title: missing key", "'tokenisation'"]),
        ({"a.toml": 'subject = "model"\n' + ADDING}, "a.toml", ["a.toml: subject: the capability 'tokenization' has its own"]),
        ({"a.toml": 'stubs = "x"\n' + ADDING}, "a.toml", ["a.toml: stubs: the capability 'tokenization' has its own"]),
        ({"a.toml": 'entrances_first = true\n' + ADDING}, "a.toml", ["a.toml: entrances_first: the capability 'tokenization' has its own"]),
        ({"a.toml": 'subject = "modell"\n' + GOOD}, "a.toml", ["a.toml: subject: no subject 'modell'", "there are training"]),
        ({"a.toml": GOOD + 'subject = "modell"\n'}, "a.toml", ["a.toml: criteria.card.subject: no subject"]),
        ({"a.toml": met('{ criterion = "house.cart" }')}, "a.toml", ["a.toml: criteria.card.met[0].criterion: no criterion 'house.cart'", "explain"]),
        ({"a.toml": met('{ criterion = "house.card" }')}, "a.toml", ["a.toml: criteria.card: criteria refer to each other: house.card -> house.card"]),
        ({"a.toml": met('{ any = [{ criterion = "house.other" }] }') + BODY.replace(".card", ".other") + 'met = [{ criterion = "house.card" }]\n'}, "a.toml", ["house.card -> house.other -> house.card", "break the circle"]),
    ],
)  # fmt: skip
def test_wrong_rules_are_one_line_and_exit_code_2(
    make_tree: Make, files: dict[str, str], named: str, words: list[str]
) -> None:
    root = make_tree({"pyproject.toml": f'[tool.codex-audit]\ncatalog = ["{named}"]\n', **files})
    code, printed, said = run("scan", str(root))
    assert (code, printed, said.count("\n")) == (2, "", 1), said
    for word in words:
        assert word in said


@pytest.mark.parametrize("name", ["audit/link.toml", "audit"])
def test_a_link_may_not_lead_out_of_the_repository(
    make_tree: Make, tmp_path: Path, name: str
) -> None:
    root = make_tree({"audit/house.toml": GOOD})
    (tmp_path / "outside.toml").write_text(GOOD)
    (root / "audit" / "link.toml").symlink_to(tmp_path / "outside.toml")
    with pytest.raises(CatalogError, match="leads out of the repository"):
        full_catalog(root, [name])


def test_a_fifo_is_refused_and_not_waited_for(make_tree: Make) -> None:
    root = make_tree({"pyproject.toml": ""})
    os.mkfifo(root / "rules.toml")
    with pytest.raises(CatalogError, match=r"rules\.toml: cannot be read"):
        full_catalog(root, ["rules.toml"])


def test_an_expression_that_takes_for_ever_ends_the_scan(
    make_repository: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time_limit, "SECONDS", 0.5)
    root = make_repository(
        {
            "pyproject.toml": SETTINGS,
            "audit/house.toml": met('{ prose = "*", value = "^(a+)+$" }'),
            "README.md": "a" * 60 + "!\n",
        }
    )
    code, printed, said = run("scan", str(root))
    assert (code, printed, said.count("\n")) == (2, "", 1), said
    assert "catalog: the scan was ended after 0.5 s" in said
    assert "leave them out" in said


class _Installed:
    """A directory that the interpreter takes for one of installed packages."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def distribution(self, entry: str) -> None:
        info = self.root / "house_rules-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: house-rules\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[codex_audit.catalog]\nhouse = {entry}\n")

    def package(self, path: str, rules: str | None) -> None:
        place = self.root / path
        place.mkdir(parents=True)
        for folder in (place, *place.parents):
            if folder == self.root:
                break
            (folder / "__init__.py").write_text("raise RuntimeError('it was imported')\n")
        if rules is not None:
            (place / "house.toml").write_text(rules)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Installed:
    place = tmp_path / "installed"
    place.mkdir()
    monkeypatch.syspath_prepend(str(place))
    return _Installed(place)


def test_an_installed_package_adds_rules_and_is_not_imported(
    make_repository: Make, installed: _Installed
) -> None:
    installed.distribution("house_rules.catalog")
    installed.package("house_rules/catalog", GOOD)
    root = make_repository({"a.py": "write_card(1)\n"})
    house = answers(root)["house"]
    assert house["criteria"]["card"]["added_by"] == "house_rules.catalog/house.toml"
    assert not any(name.startswith("house_rules") for name in sys.modules)


@pytest.mark.parametrize(
    ("entry", "rules", "what"),
    [
        ("house_rules.no", GOOD, "no package house_rules.no is installed"),
        ("house_rules:here", GOOD, "no package house_rules:here is installed"),
        ("house_rules.catalog", None, "it holds no .toml file"),
        ("house_rules.catalog", HEAD, "criteria: missing key"),
    ],
)
def test_a_broken_entry_point_is_one_line(
    make_repository: Make, installed: _Installed, entry: str, rules: str | None, what: str
) -> None:
    installed.distribution(entry)
    installed.package("house_rules/catalog", rules)
    code, printed, said = run("scan", str(make_repository({"a.py": "x = 1\n"})))
    assert (code, printed, said.count("\n")) == (2, "", 1), said
    assert what in said
    assert "house_rules" in said
    assert not any(name.startswith("house_rules") for name in sys.modules)
