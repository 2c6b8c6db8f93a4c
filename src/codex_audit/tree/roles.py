"""What part a file plays: running code, or something that only surrounds it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

CODE_ROLES = ("core", "script")
# How good a file is as evidence: core code before scripts before the rest.
# A fixture is what tests read: it shows nothing of the repository, however much it looks like it.
RANK = {"core": 0, "script": 1, "ci": 2, "example": 3, "benchmark": 4, "docs": 5, "test": 6}

_FIXTURES = frozenset({"fixtures", "testdata", "test_data"})
_SEMGREP = frozenset({"semgrep_rules", "semgrep-rules", ".semgrep"})  # rules beside their fixtures
_DIRECTORIES = (
    ("test", {"tests", "test", "unittests", "unit_tests", "integration_tests", "test_utils"}),
    ("ci", {".github", ".circleci", ".buildkite", ".gitlab", ".azure-pipelines", ".ci"}),
    ("benchmark", {"benchmarks", "benchmark", "bench", "perf"}),
    ("docs", {"docs", "doc", "documentation", "website"}),
    ("example", {"examples", "example", "tutorials", "tutorial", "demos", "demo", "notebooks",
                 "cookbook", "cookbooks", "samples", "quickstart"}),
    ("script", {"scripts", "script", "tools", "bin", "recipes", "runs", "experiments", "launch",
                "hack", "utils_scripts"}),
)  # fmt: skip
_EXAMPLES = frozenset({"examples", "example"})
_KEEPERS = frozenset({"tools", "hack", ".tools"})
_PACKAGING = frozenset({"setup.py", "noxfile.py", "tasks.py", "__init__.py"})
# What a program has, sought as plain bytes: some files of tests are very large.
_RUN_AS_PROGRAM = (b"ArgumentParser(", b"parse_args(", b"\n@hydra.main", b"\n@click.command")
_HOLDS_TESTS = re.compile(
    rb"(?m)^[ \t]*+(async[ \t]+)?def[ \t]+test_|^class[ \t]+(Test|\w+Test)"
    rb"|^[ \t]*+(import|from)[ \t]+(pytest|unittest)"
)
# A function `test` is a test, or what a program that trains tries its model by.
_MAY_TEST = re.compile(rb"(?m)^[ \t]*+(async[ \t]+)?def[ \t]+test")
_TRAINS = re.compile(r"(?i)(pre_?)?(train|finetun|fine_tun)\w*\.py$")
_RUNS = re.compile(r"(?i)(run|main)(_\w+)?\.py$")
_TEST_NAME = re.compile(r"(test_.*|.*[_-]test(_utils?)?|conftest)\.py$")
_COLLECTED = re.compile(r"(test_.*|.*_test|conftest)\.py$")
_CI_NAMES = frozenset(
    {".gitlab-ci.yml", ".travis.yml", "azure-pipelines.yml", "Jenkinsfile", "appveyor.yml",
     ".appveyor.yml",
     "bitbucket-pipelines.yml", ".cirrus.yml", ".drone.yml"}
)  # fmt: skip


def role_of(path: str, *, program: bool = False) -> str:
    """The role of a POSIX path: core, script, test, fixture, example, benchmark, docs or ci.

    `program` says that the file is one that runs and holds no tests, whatever its name.
    """
    parts = path.split("/")
    name = parts[-1]
    folders = set(parts[:-1])
    if folders & _FIXTURES or (folders & _SEMGREP and not name.endswith((".yaml", ".yml"))):
        return "fixture"
    if _TEST_NAME.match(name) and not program:
        return "test"
    if name in _CI_NAMES:
        return "ci"
    benchmark = name.startswith(("bench_", "benchmark")) or name == "bench.py"
    for role, names in _DIRECTORIES:
        if folders & names:
            return "benchmark" if benchmark and role == "script" else role
    if name.endswith(".ipynb"):
        return "example"
    if benchmark:
        return "benchmark"
    if len(parts) == 1 and name.endswith(".py"):
        return "script"
    return "core"


def training_home(files: Iterable[tuple[str, str]]) -> str:
    """The folder of examples that holds the only training programs, given paths and roles.

    Where nothing outside it is named for training, what would else be an example is the training
    code of the repository. `""` where there is none.
    """
    home = ""
    for path, role in files:
        folder, _, name = path.rpartition("/")
        if role == "example" and folder in _EXAMPLES and _TRAINS.match(name):
            home = folder
        elif role in CODE_ROLES and (_TRAINS.match(name) or (not folder and _RUNS.match(name))):
            return ""
    return home


def may_be_program(path: str) -> bool:
    """Whether only the file's name says that it is a test: `test_policy.py` may try out a model."""
    named = _COLLECTED.match(path.rpartition("/")[2]) is not None
    return named and role_of(path, program=True) != "test"


def runs_no_tests(source: bytes) -> bool:
    """Whether a file that is named for a test is a program instead: it runs and collects none."""
    if _HOLDS_TESTS.search(source) or not any(mark in source for mark in _RUN_AS_PROGRAM):
        return False
    return b".backward(" in source or _MAY_TEST.search(source) is None


def only_examples(files: Iterable[tuple[str, str]]) -> bool:
    """Whether examples and notebooks are all the code there is, given paths and roles.

    A collection of them is what its repository is about: nothing else is there to be shown. Tools
    in a folder of their own keep such a collection in order.
    """
    shown = False
    for path, role in files:
        folder, _, name = path.rpartition("/")
        if not name.endswith((".py", ".ipynb")) or name in _PACKAGING:
            continue
        if role in CODE_ROLES and not (folder in _KEEPERS and not _TRAINS.match(name)):
            return False
        shown = shown or role == "example"
    return shown


def is_example_code(path: str, role: str) -> bool:
    """Whether a file of examples is code or its settings, and not a page about them."""
    if path.endswith((".md", ".rst", ".txt")):
        return False
    return role == "example" or (role == "benchmark" and bool(_EXAMPLES & set(path.split("/"))))


def is_program(path: str, home: str) -> bool:
    """Whether an example in the folder `home` is a program or its settings, not a page."""
    return path.startswith(home + "/") and not path.endswith((".ipynb", ".md", ".rst", ".txt"))


def is_test_module(path: str) -> bool:
    """Whether a test runner loads the file for its tests or fixtures."""
    return _COLLECTED.match(path.rpartition("/")[2]) is not None
