"""Every rule of semgrep_rules/ flags each line its fixture says it must, and no other."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from codex_audit.gates.semgrep import offline, program

ROOT = Path(__file__).parents[1]
RULES = ROOT / "semgrep_rules"
FILES = sorted(RULES.rglob("*.yaml"))

needs_semgrep = pytest.mark.skipif(
    not program().is_file(), reason="semgrep is not installed in this environment"
)


def _rule(path: Path) -> dict[str, Any]:
    (rule,) = yaml.safe_load(path.read_text(encoding="utf-8"))["rules"]
    assert isinstance(rule, dict)
    return rule


def _annotated(fixture: Path, kind: str, rule: str) -> set[int]:
    """The lines below `# ruleid: RULE` or `# ok: RULE`."""
    lines = fixture.read_text(encoding="utf-8").splitlines()
    mark = re.compile(rf"\s*# {kind}: {re.escape(rule)}\s*$")
    return {number + 2 for number, line in enumerate(lines) if mark.match(line)}


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], set[int]]:
    """Rule and fixture -> the lines reported, from one run of all rules on all fixtures."""
    scratch = tmp_path_factory.mktemp("semgrep")
    # Elsewhere than below tests/ or semgrep_rules/, which semgrep or a gate may leave out.
    for path in FILES:
        fixture = path.with_suffix(".py")
        (scratch / fixture.name).write_bytes(fixture.read_bytes())
    return _scan(scratch, RULES, scratch)


def _scan(target: Path, rules: Path, scratch: Path) -> dict[tuple[str, str], set[int]]:
    command = [
        str(program()),
        *("scan", "--quiet", "--metrics=off", "--disable-version-check", "--json"),
        *("--config", str(rules), str(target)),
    ]
    dead_end = {"HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}
    done = subprocess.run(
        command,
        cwd=scratch,
        env={**os.environ, **dead_end, **offline(scratch)},
        capture_output=True,
        text=True,
        check=True,
    )
    output = json.loads(done.stdout)
    assert output["errors"] == []
    found: dict[tuple[str, str], set[int]] = {}
    for result in output["results"]:
        rule = result["check_id"].rpartition(".")[2]
        place = found.setdefault((rule, Path(result["path"]).name), set())
        place.add(result["start"]["line"])
    return found


def test_there_are_rules() -> None:
    assert len(FILES) >= 9


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_rule_has_its_fixture_and_says_what_to_do(path: Path) -> None:
    rule = _rule(path)
    assert rule["id"] == path.stem
    assert path.with_suffix(".py").is_file(), f"{path.name} has no annotated fixture"
    assert _annotated(path.with_suffix(".py"), "ruleid", path.stem)
    assert _annotated(path.with_suffix(".py"), "ok", path.stem)
    assert rule["severity"] in {"ERROR", "WARNING", "INFO"}
    assert rule["metadata"]["cwe"].startswith("CWE-")
    assert rule["metadata"]["references"]
    assert re.search(r"\b(Pass|Use|Store|Parse)\b", rule["message"]), "a message names the remedy"


def test_no_fixture_is_left_without_its_rule() -> None:
    left = {path.stem for path in RULES.rglob("*.py")} - {path.stem for path in FILES}
    assert left == set()


@needs_semgrep
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_rule_flags_what_its_fixture_says(
    path: Path, reported: dict[tuple[str, str], set[int]]
) -> None:
    fixture = path.with_suffix(".py")
    wanted = _annotated(fixture, "ruleid", path.stem)
    assert reported.get((path.stem, fixture.name), set()) == wanted


@needs_semgrep
def test_our_own_code_is_clean(tmp_path: Path) -> None:
    assert _scan(ROOT / "src", RULES, tmp_path) == {}
