"""A directory of a repository, and several projects in one repository, by the user's command."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from codex_audit.cli import main
from codex_audit.projects import audited

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Make = Callable[[dict[str, str]], Path]

SETTINGS = "[tool.codex-audit]\n"
TRAINING = (
    "import torch\nmodel = torch.nn.Linear(2, 2)\noptimizer = torch.optim.SGD(model.parameters())\n"
    "for _ in range(3):\n    loss = model(torch.ones(2)).sum()\n    loss.backward()\n    optimizer.step()\n"
)
RULES = (
    'id = "house"\ntitle = "House rules"\nwhy = "We agreed."\n[criteria.card]\n'
    'question = "Is a card written?"\nwhy = "It is found."\ngap = "no card"\nremedy = "Write one."\n'
    'impact = 1\neffort = 1\nrequired = true\nmet = [{ call = "*write_card" }]\n'
)
FILES = {
    "packages/a/train.py": TRAINING,
    "packages/a/old/dead.py": "write_card(1)\n",
    "packages/b/serve.py": "write_card(1)\n",
    "packages/b/pyproject.toml": '[project]\nname = "service"\n',
    "README.md": "# All\n",
}


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, list(arguments))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


def scanned(path: Path) -> dict[str, Any]:
    code, text, said = run("scan", str(path), "--format", "json")
    assert (code, said) == (0, "")
    document: dict[str, Any] = json.loads(text)
    return document


def test_a_directory_of_a_repository_is_audited_alone(make_repository: Make) -> None:
    root = make_repository(FILES)
    (root / "packages" / "a" / "untracked.md").write_text("# no file of the repository\n")
    document = scanned(root / "packages" / "a")
    assert document["project"] == "a"
    assert (document["repo_map"]["files"], document["repo_map"]["listed_by"]) == (2, "git")
    loop = document["capabilities"]["training_engine"]["criteria"]["training_loop"]
    assert loop["evidence"][0]["path"] == "train.py"
    assert document["provenance"]["dirty"] is False
    assert document["provenance"]["commit"] == scanned(root)["provenance"]["commit"]
    assert scanned(root / "packages" / "b")["trains"] is False


def test_a_directory_without_settings_has_those_above_it(make_repository: Make) -> None:
    above = SETTINGS + (
        'project = "all"\ncatalog = ["rules"]\nexclude = ["packages/*/old/"]\nprojects = ["packages/b"]\n'
        '[tool.codex-audit.not-applicable]\ndeployment = "none of it is deployed"\n'
        '[tool.codex-audit.trainer]\nfactory = "all.trial:make"\n'
    )
    root = make_repository({**FILES, "pyproject.toml": above, "rules/house.toml": RULES})
    document = scanned(root / "packages" / "a")
    assert document["project"] == "a"
    assert document["capabilities"]["deployment"]["status"] == "Not applicable"
    assert document["capabilities"]["house"]["status"] == "Missing"  # its card is in old/
    assert document["projects"] == {}
    # the trainer above is not this one's
    assert scanned(root / "packages" / "b")["trains"] is False
    assert run("explain", "card", "--root", str(root / "packages" / "a"))[0] == 0


def test_its_own_settings_take_the_place_of_those_above(make_repository: Make) -> None:
    root = make_repository(
        {
            **FILES,
            "pyproject.toml": SETTINGS + 'catalog = ["rules"]\n',
            "rules/house.toml": RULES,
            "packages/a/pyproject.toml": SETTINGS + 'project = "mine"\nexclude = ["old/"]\n',
        }
    )
    document = scanned(root / "packages" / "a")
    assert document["project"] == "mine"
    assert "house" not in document["capabilities"]
    assert document["repo_map"]["files"] == 2


def test_settings_above_the_repository_do_not_count(make_repository: Make) -> None:
    root = make_repository({"a.py": "x = 1\n"})
    (root.parent / "pyproject.toml").write_text("[tool.codex-audit]\nprojekt = 1\n")
    assert scanned(root)["project"] == "repository"


@pytest.mark.parametrize(
    ("pattern", "below"),
    [
        ("old/", ("old/",)),
        ("*.md", ("*.md",)),
        ("packages/a/old", ("/old",)),
        ("/packages/a/old/x.py", ("/old/x.py",)),
        ("!packages/*/keep.py", ("!/keep.py",)),
        ("packages/**/gen", ("**/gen",)),
        ("**/gen/x.py", ("**/gen/x.py",)),
        ("packages/b/old", ()),
        ("packages/a", ()),
        ("packages/a/", ()),
        ("/packages", ()),
    ],
)
def test_patterns_above_are_read_from_below(
    make_repository: Make, pattern: str, below: tuple[str, ...]
) -> None:
    settings = SETTINGS + f"exclude = [{json.dumps(pattern)}]\n"
    root = make_repository({**FILES, "pyproject.toml": settings})
    assert audited(root / "packages" / "a").settings.exclude == below


def test_each_project_is_reported_besides_the_whole(make_repository: Make) -> None:
    settings = SETTINGS + 'projects = ["packages/a", "./packages/b/"]\n'
    unsafe = "model.load_state_dict(torch.load('m.pt', weights_only=False))\n"
    files = {"pyproject.toml": settings, "packages/a/train.py": TRAINING + unsafe}
    root = make_repository({**FILES, **files})
    document = scanned(root)
    assert document["capabilities"]["training_engine"]["status"] == "Partially"
    assert list(document["projects"]) == ["packages/a", "packages/b"]
    a, b = document["projects"].values()
    assert (a["trains"], b["trains"], b["project"]) == (True, False, "service")
    assert set(a["capabilities"]) == set(document["capabilities"])
    loop = a["capabilities"]["training_engine"]["criteria"]["training_loop"]
    assert loop["evidence"][0]["path"] == "train.py"
    markdown = run("scan", str(root))[1]
    assert markdown.index("## Phase Results") < markdown.index("\n## Projects\n")
    assert "| Capability | `packages/a` | `packages/b` |\n|---|---|---|\n" in markdown
    assert "| training_engine | Partially | Not applicable |" in markdown
    assert "### `packages/b`\n\nservice: 2 files" in markdown
    sarif = json.loads(run("scan", str(root), "--format", "sarif")[1])
    runs = {each["automationDetails"]["id"]: each for each in sarif["runs"]}
    assert {"codex-audit/", "codex-audit/packages/a/", "codex-audit/packages/b/"} <= set(runs)
    places = [
        place["physicalLocation"]["artifactLocation"]["uri"]
        for each in runs["codex-audit/packages/a/"]["results"]
        for place in each["locations"]
    ]
    assert places
    assert all(place.startswith("packages/a/") for place in places)


def test_errors_of_a_project_are_errors_of_the_audit(make_repository: Make) -> None:
    settings = SETTINGS + 'projects = ["packages/a"]\nexclude = ["bad.py"]\n'
    own = SETTINGS
    files = {
        "pyproject.toml": settings,
        "packages/a/pyproject.toml": own,
        "packages/a/bad.py": "(\n",
    }
    document = scanned(make_repository({**FILES, **files}))
    assert len(document["errors"]) == 1
    assert document["errors"][0]["context"].endswith("(project packages/a)")
    assert document["phases"][1]["status"] == "DEGRADED"


def test_a_project_alone_may_fail_the_scan(make_repository: Make) -> None:
    settings = (
        SETTINGS + 'projects = ["packages/a"]\ncatalog = ["house.toml"]\nexclude = ["old/"]\n'
    )
    off = "[tool.codex-audit.not-applicable]\n"
    shipped = "".join(
        f'{name} = "not asked here"\n' for name in scanned(make_repository(FILES))["capabilities"]
    )
    root = make_repository(
        {**FILES, "pyproject.toml": settings + off + shipped, "house.toml": RULES}
    )
    whole = scanned(root)
    assert whole["capabilities"]["house"]["status"] == "Implemented"
    assert whole["projects"]["packages/a"]["capabilities"]["house"]["status"] == "Missing"
    assert run("scan", str(root), "--fail-on", "missing")[0] == 1
    (root / "pyproject.toml").write_text(
        (settings + off + shipped).replace("packages/a", "packages/b")
    )
    assert run("scan", str(root), "--fail-on", "missing")[0] == 0


def test_report_writes_the_projects(make_repository: Make) -> None:
    settings = SETTINGS + 'projects = ["packages/a", "packages/b"]\n'
    root = make_repository({**FILES, "pyproject.toml": settings})
    code, printed, _ = run("report", "--root", str(root))
    assert code == 1  # no gate has run
    assert "Projects\n  packages/a: " in printed
    written = json.loads((root / ".audit" / "status.json").read_text())
    assert list(written["projects"]) == ["packages/a", "packages/b"]
    assert "## Projects" in (root / ".audit" / "STATUS.md").read_text()


@pytest.mark.parametrize(
    ("projects", "words"),
    [
        (["packages/c"], ["projects: 'packages/c' does not exist", "correct the path"]),
        (["README.md"], ["projects: 'README.md' is no directory"]),
        (["../x"], ["projects: '../x' leads out of the repository", "inside of it"]),
        (["/tmp"], ["projects: '/tmp' leads out of the repository"]),
        (["."], ["projects: '.' is the repository itself", "leave it out"]),
        (["packages/a", "packages/a/"], ["projects: 'packages/a/' is 'packages/a' again", "name it once"]),
        (["packages", "packages/a"], ["projects: 'packages/a' lies in 'packages'", "one of the two"]),
        (["packages/a", "packages"], ["projects: 'packages/a' lies in 'packages'"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", [["scan"], ["report", "--root"]])
def test_wrong_projects_are_one_line_and_exit_code_2(
    make_repository: Make, command: list[str], projects: list[str], words: list[str]
) -> None:
    settings = SETTINGS + f"projects = {json.dumps(projects)}\n"
    root = make_repository({**FILES, "pyproject.toml": settings})
    code, printed, said = run(*command, str(root))
    assert (code, printed, said.count("\n")) == (2, "", 1), said
    assert said.startswith(f"codex-audit: {root / 'pyproject.toml'}: [tool.codex-audit] ")
    for word in words:
        assert word in said


def test_wrong_settings_of_a_project_name_its_file(make_repository: Make) -> None:
    files = {"pyproject.toml": SETTINGS + 'projects = ["packages/a"]\n'}
    files["packages/a/pyproject.toml"] = SETTINGS + "projekt = 1\n"
    code, _, said = run("scan", str(make_repository({**FILES, **files})))
    assert (code, said.count("\n")) == (2, 1)
    assert "packages/a/pyproject.toml: [tool.codex-audit] projekt: unknown key" in said
