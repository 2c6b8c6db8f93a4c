"""What part a file plays: running code, or something that only surrounds it."""

from __future__ import annotations

import re

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
_TEST_NAME = re.compile(r"(test_.*|.*_test|conftest)\.py$")
_CI_NAMES = frozenset(
    {".gitlab-ci.yml", ".travis.yml", "azure-pipelines.yml", "Jenkinsfile", "appveyor.yml",
     ".appveyor.yml",
     "bitbucket-pipelines.yml", ".cirrus.yml", ".drone.yml"}
)  # fmt: skip


def role_of(path: str) -> str:
    """The role of a POSIX path: core, script, test, fixture, example, benchmark, docs or ci."""
    parts = path.split("/")
    name = parts[-1]
    folders = set(parts[:-1])
    if folders & _FIXTURES or (folders & _SEMGREP and not name.endswith((".yaml", ".yml"))):
        return "fixture"
    if _TEST_NAME.match(name):
        return "test"
    if name in _CI_NAMES:
        return "ci"
    for role, names in _DIRECTORIES:
        if folders & names:
            return role
    if name.endswith(".ipynb"):
        return "example"
    if name.startswith(("bench_", "benchmark")) or name == "bench.py":
        return "benchmark"
    if len(parts) == 1 and name.endswith(".py"):
        return "script"
    return "core"


def is_test_module(path: str) -> bool:
    """Whether a test runner loads the file for its tests or fixtures."""
    return _TEST_NAME.match(path.rpartition("/")[2]) is not None
