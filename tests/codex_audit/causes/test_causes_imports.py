"""What failed to import, and why: real code in real directories, with near misses."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest

from codex_audit.causes import imports, packages
from codex_audit.diagnosis import Failure, capture, diagnose

if TYPE_CHECKING:
    from pathlib import Path

# A package that these tests need themselves, so that it is installed wherever they run.
INSTALLED = "msgspec"
RELEASE = version(INSTALLED)


def _write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def _fail(root: Path, code: str) -> Failure:
    """The failure of real code, run in the repository as `python -c` is: its directory first."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        env={key: value for key, value in os.environ.items() if not key.startswith("PYTHON")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    kind, _, message = done.stderr.strip().splitlines()[-1].partition(": ")
    return Failure(kind, message, done.stderr)


# Shadowed packages


@pytest.mark.parametrize(
    ("files", "code", "shadow"),
    [
        ({"msgspec/__init__.py": ""}, "from msgspec import Struct", "directory `msgspec/`"),
        ({"msgspec/__init__.py": ""}, "import msgspec.json", "directory `msgspec/`"),
        ({"msgspec/__init__.py": ""}, "import msgspec; msgspec.Struct", "directory `msgspec/`"),
        ({"msgspec.py": ""}, "from msgspec import Struct", "file `msgspec.py`"),
        ({"msgspec.py": ""}, "import msgspec.json", "file `msgspec.py`"),
        ({"msgspec.py": "from msgspec import Struct"}, "import msgspec", "file `msgspec.py`"),
        (
            {"src/msgspec/__init__.py": ""},
            "import sys; sys.path.insert(0, 'src'); from msgspec import Struct",
            "directory `src/msgspec/`",
        ),
    ],
)
def test_shadowed_package(tmp_path: Path, files: dict[str, str], code: str, shadow: str) -> None:
    failure = _fail(_write(tmp_path, files), code)
    found = diagnose(failure, tmp_path)
    assert found.cause == "shadowed package"
    assert found.diagnosis == (
        f"the {shadow} of this repository shadows the installed package msgspec {RELEASE}"
    )
    assert found.remedy == f"rename or move {shadow.split()[1]} out of the import path"


def test_the_block_of_the_design(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = _write(tmp_path, {"torch/__init__.py": ""})
    monkeypatch.setattr(packages, "packages_distributions", lambda: {"torch": ["torch"]})
    monkeypatch.setattr(packages, "version", {"torch": "2.13.0+cpu"}.__getitem__)
    monkeypatch.setattr(imports, "installed_from", lambda _name, _root: False)
    error = capture(
        _fail(root, "from torch import nn"),
        phase=5,
        step="trainer_smoke_test",
        context="SimpleTrainer synthetic step",
        root=root,
        at=datetime(2025, 10, 6, 16, 59, 14, tzinfo=UTC),
    )
    assert error.message == "cannot import name 'nn' from 'torch' (torch/__init__.py)"
    assert error.at == "2025-10-06T16:59:14Z"
    assert error.diagnosis == (
        "the directory `torch/` of this repository shadows the installed package torch 2.13.0"
    )
    assert error.remedy == "rename or move `torch/` out of the import path"
    assert str(root) not in error.traceback


def test_shadowed_well_known_and_standard_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "installed", lambda _name: None)
    root = _write(tmp_path, {"wandb/__init__.py": "", "random.py": ""})
    found = diagnose(_fail(root, "import wandb; wandb.init"), root)
    assert "shadows the package wandb" in found.diagnosis
    found = diagnose(_fail(root, "from random import gauss"), root)
    assert found.diagnosis == (
        "the file `random.py` of this repository shadows Python's own module random"
    )


def test_near_misses_of_shadowing(tmp_path: Path) -> None:
    message = "cannot import name 'nn' from 'msgspec' ({})"
    root = _write(tmp_path / "a", {"msgspec/__init__.py": "", "other/__init__.py": ""})
    inside = Failure("ImportError", message.format(root / "msgspec/__init__.py"))
    assert imports.shadowed_package(inside, root) is not None
    # It came from elsewhere, after all.
    for place in ("/env/lib/site-packages/msgspec/__init__.py", ".venv/lib/site-packages/m.py"):
        assert imports.shadowed_package(Failure("ImportError", message.format(place)), root) is None
    # The same words in another kind of error.
    assert imports.shadowed_package(Failure("ValueError", inside.message), root) is None
    # The repository's own package, that nobody else has.
    own = Failure("ImportError", "cannot import name 'x' from 'other' (other/__init__.py)")
    assert imports.shadowed_package(own, root) is None
    # The repository is that package.
    for own_name in (
        {"pyproject.toml": "[project]\nname = 'msgspec'\n"},
        {"setup.py": "setup(name='msgspec')\n"},
        {"setup.cfg": "[metadata]\nname = msgspec\n"},
    ):
        name = next(iter(own_name))
        repo = _write(tmp_path / name, {"msgspec/__init__.py": "", **own_name})
        failure = Failure("ImportError", "cannot import name 'x' from 'msgspec' (unknown location)")
        assert imports.shadowed_package(failure, repo) is None


def test_own_package(tmp_path: Path) -> None:
    root = _write(tmp_path, {"src/mine/__init__.py": ""})
    found = diagnose(_fail(root, "import mine"), root)
    assert found.cause == "own package not importable"
    assert "`src/mine/`" in found.diagnosis
    assert "pip install -e ." in found.remedy
    assert imports.own_package(Failure("ImportError", "No module named 'theirs'"), root) is None


# Missing dependencies


@pytest.mark.parametrize(
    ("files", "command"),
    [
        ({}, "pip install no-such-thing-x"),
        (
            {
                "pyproject.toml": "[project]\nname = 'p'\n[project.optional-dependencies]\n"
                "plots = ['matplotlib']\ntracking = ['no_such.thing-x[extra]>=2; extra > \"3\"']\n"
            },
            'pip install -e ".[tracking]"',
        ),
        (
            {"pyproject.toml": "[dependency-groups]\nd = ['no-such-thing-x', {x='t'}]\n"},
            "pip install --group d",
        ),
        (
            {"pyproject.toml": "[tool.poetry.group.dev.dependencies]\nno-such-thing-x = '*'\n"},
            "poetry install --with dev",
        ),
        (
            {"requirements.txt": "-r base.txt\n# note\nno-such-thing-x==1\n"},
            "pip install -r requirements.txt",
        ),
        (
            {"requirements/track.in": "no-such-thing-x\n"},
            "pip install -r requirements/track.in",
        ),
        ({"pyproject.toml": "not TOML ["}, "pip install no-such-thing-x"),
        ({"requirements.txt": "no-such-thing-x-more\n"}, "pip install no-such-thing-x"),
    ],
)
def test_missing_dependency(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], command: str
) -> None:
    root = _write(tmp_path, files)
    monkeypatch.setitem(packages.DISTRIBUTIONS, "no_such_thing_x", "no-such-thing-x")
    found = diagnose(_fail(root, "import no_such_thing_x.deep"), root)
    assert found.cause == "missing optional dependency"
    assert found.diagnosis == (
        "the optional dependency no-such-thing-x is not installed in this environment"
    )
    assert found.remedy == f"install it: `{command}`"


def test_missing_required_dependency(tmp_path: Path) -> None:
    root = _write(tmp_path, {"pyproject.toml": "[project]\nname='p'\ndependencies=['nosuchx>1']\n"})
    found = diagnose(_fail(root, "import nosuchx"), root)
    assert found.diagnosis == "the dependency nosuchx is not installed in this environment"
    assert found.remedy == "install it: `pip install -e .`"


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ("No module named 'cv2'", "opencv-python"),
        ("No module named 'sklearn.svm'", "scikit-learn"),
        ("Trainer requires the wandb library but it was not found in your environment.", "wandb"),
    ],
)
def test_names_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, message: str, name: str
) -> None:
    monkeypatch.setattr(packages, "packages_distributions", dict)
    monkeypatch.setattr(imports, "installed", lambda _name: None)
    found = diagnose(Failure("ImportError", message), tmp_path)
    assert found.remedy == f"install it: `pip install {name}`"


def test_a_tools_last_words_are_understood(tmp_path: Path) -> None:
    words = "`python train.py` ended with exit code 1: import nosuchx | ModuleNotFoundError: "
    found = diagnose(Failure("ToolCrashedError", words + "No module named 'nosuchx'"), tmp_path)
    assert found.diagnosis == "the optional dependency nosuchx is not installed in this environment"


def test_near_misses_of_a_missing_dependency(tmp_path: Path) -> None:
    failure = Failure("ModuleNotFoundError", f"No module named '{INSTALLED}.no_such'")
    assert imports.missing_dependency(failure, tmp_path) is None
    standard = Failure("ModuleNotFoundError", "No module named '_tkinter'")
    assert imports.missing_dependency(standard, tmp_path) is None
    other = Failure("KeyError", "No module named 'nosuchx'")
    assert imports.missing_dependency(other, tmp_path) is None
