"""The image: linted, and buildable from what its build context holds.

No container engine is needed: what the steps of a build do is done without.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import Any

import pathspec
import pytest
import yaml

from codex_audit.tree.docker_facts import docker_facts

ROOT = Path(__file__).parents[1]
DOCKERFILE = ROOT / "Dockerfile"
HADOLINT = Path(sysconfig.get_path("scripts")) / "hadolint"


def instructions(name: str) -> list[str]:
    """The values of an instruction, in order."""
    return [fact.value for fact in docker_facts(DOCKERFILE.read_bytes()) if fact.name == name]


def ignored(lines: str) -> pathspec.GitIgnoreSpec:
    """A .dockerignore: git's rules, but that every pattern starts at the root."""
    patterns = [line for line in lines.splitlines() if line and not line.startswith("#")]
    return pathspec.GitIgnoreSpec.from_lines(
        f"!/{line[1:]}" if line.startswith("!") else f"/{line}" for line in patterns
    )


def build_context(target: Path, ignore: str) -> Path:
    """What a builder would copy of the tracked files: COPY by COPY, less what is ignored.

    Raises:
        FileNotFoundError: a COPY has no source in the context.
    """
    spec = ignored(ignore)
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    context = [name for name in listed if not spec.match_file(name)]
    for value in instructions("copy"):
        if value.startswith("--from="):
            continue
        *sources, place = value.split()
        for source in sources:
            found = [name for name in context if Path(name).is_relative_to(source)]
            if not found:
                raise FileNotFoundError(f"COPY {source}: not in the build context")
            for name in found:
                inner = Path(name).relative_to(source) if Path(name) != Path(source) else None
                path = target / place / (inner or Path(name).name)
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, path)
    return target


@pytest.mark.skipif(not HADOLINT.is_file(), reason="hadolint is not installed in this environment")
def test_the_linter_finds_nothing() -> None:
    done = subprocess.run(
        [HADOLINT, "--disable-ignore-pragma", DOCKERFILE], check=False, capture_output=True
    )
    assert (done.returncode, done.stdout) == (0, b"")


def test_the_context_suffices_to_build_the_package(tmp_path: Path) -> None:
    context = build_context(tmp_path / "build", (ROOT / ".dockerignore").read_text())
    for command in instructions("run"):
        for word in command.split():
            if word.startswith("requirements/"):
                assert (context / word).is_file()
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "dist"],
        cwd=context, check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        "codex_audit/capabilities/deployment/container.toml",
        "codex_audit/report/status.md.j2",
        "codex_ml/run_config.yaml",
        "codex_ml/py.typed",
    } <= names


def test_a_context_that_lacks_a_source_is_noticed(tmp_path: Path) -> None:
    ignore = (ROOT / ".dockerignore").read_text()
    with pytest.raises(FileNotFoundError, match=r"COPY README\.md: not in the build context"):
        build_context(tmp_path, ignore.replace("!README.md\n", ""))


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("src/codex_ml/config.py", True),
        ("requirements/tests.txt", True),
        (".git/config", False),
        (".env", False),
        ("runs/1/weights.safetensors", False),
        ("tests/test_container.py", False),
        ("src/codex_ml/__pycache__/config.cpython-311.pyc", False),
    ],
)
def test_what_is_sent_to_the_builder(path: str, *, sent: bool) -> None:
    assert ignored((ROOT / ".dockerignore").read_text()).match_file(path) is not sent


def test_it_is_built_on_the_python_that_ci_tests() -> None:
    workflow: dict[str, Any] = yaml.safe_load((ROOT / ".github/workflows/audit.yml").read_text())
    steps = workflow["jobs"]["gate"]["steps"]
    python = next(step["with"]["python-version"] for step in steps if "setup-python" in str(step))
    assert {value.split("-")[0].rpartition(".")[0] for value in instructions("from")} == {
        f"python:{python}"
    }


def test_its_commands_exist() -> None:
    entry = json.loads(instructions("entrypoint")[0])
    health = json.loads(instructions("healthcheck")[0].partition("CMD ")[2])
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    commands = [service["command"] for service in compose["services"].values()]
    gates = [command[1] for command in commands if command[0] == "gate"]
    assert gates == ["trainer-smoke-cpu", "tokenizer"]
    assert entry == health[:1] == ["codex-audit"]
    for arguments in [health[1:], json.loads(instructions("cmd")[0]), *commands]:
        # What a gate or the report does has tests of its own: here only that they are there.
        probe = arguments if arguments[0].startswith("-") else [arguments[0], "--help"]
        done = subprocess.run(
            [sys.executable, "-m", "codex_audit", *probe], check=False, capture_output=True
        )
        assert done.returncode == 0, (arguments, done.stderr)
    for name in gates:
        done = subprocess.run(
            [sys.executable, "-m", "codex_audit", "explain", name], check=False, capture_output=True
        )
        assert done.returncode == 0, (name, done.stderr)
