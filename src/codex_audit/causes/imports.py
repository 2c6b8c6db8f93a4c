"""Failures to import: shadowed, missing, of the wrong version, or not Python at all."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path, PurePosixPath

from codex_audit.causes.packages import (
    WELL_KNOWN,
    distribution_of,
    install_remedy,
    installed,
    installed_from,
    normalized,
    own_name,
)
from codex_audit.failure import Diagnosis, Failure

_IMPORTS = frozenset({"ImportError", "ModuleNotFoundError", "AttributeError"})
_HALF_THERE = (
    re.compile(
        r"cannot import name '[^']+' from (?:partially initialized module )?'(?P<module>[\w.]+)'"
    ),
    re.compile(r"No module named '(?P<module>\w+(?:\.\w+)+)'"),
    re.compile(r"(?:partially initialized )?module '(?P<module>[\w.]+)' has no attribute '"),
)
# Names the gate whose session of a noxfile this process runs in.
SESSION = "CODEX_AUDIT_SESSION"
_ABSENT = (
    re.compile(r"No module named '?(?P<module>[A-Za-z_][\w.]*)'?"),
    re.compile(r"requires the (?P<module>[\w.-]+) library but it was not found"),
    re.compile(r"No package metadata was found for (?P<module>[\w.-]+)"),
)
_BINARY = re.compile(
    r"undefined symbol|dtype size changed|binary incompatib|multiarray failed to import"
    r"|compiled using NumPy 1\.x cannot be run|version `(?:GLIBC|GLIBCXX|CXXABI)_[\d.]+' not found"
    r"|Symbol not found|DLL load failed"
)
_REQUIRES = re.compile(
    r"\b[\w.-]+ ?(?:[<>=!~]=|[<>]) ?\d[\w.]*.*\b(?:is required|but found|but you have)"
    r"|\brequires? [\w.-]+ ?(?:[<>=!~]=|[<>]) ?\d|\bVersionConflict\b"
)


def shadowed_package(failure: Failure, root: Path) -> Diagnosis | None:
    """A package that resolves to a directory or file of the repository with the same name."""
    inner = failure.innermost()
    module = _half_there(inner)
    if module is None:
        return None
    top = module.split(".")[0]
    shadow = _shadow(root, top)
    if shadow is None or _is_own(root, top) or _points_elsewhere(inner.message, root):
        return None
    what = "directory" if shadow.endswith("/") else "file"
    release = installed(top)
    if release is not None:
        victim = f"the installed package {distribution_of(top)} {release}"
    elif top in sys.stdlib_module_names:
        victim = f"Python's own module {top}"
    elif top in WELL_KNOWN:
        victim = f"the package {distribution_of(top)}"
    else:
        return None
    return Diagnosis(
        "shadowed package",
        f"the {what} `{shadow}` of this repository shadows {victim}",
        f"rename or move `{shadow}` out of the import path",
    )


def own_package(failure: Failure, root: Path) -> Diagnosis | None:
    """The repository's own package, which is there but not on the import path."""
    inner = failure.innermost()
    match = re.search(r"No module named '(\w+)'", inner.message)
    if inner.type not in _IMPORTS or match is None:
        return None
    top = match.group(1)
    place = _shadow(root, top)
    if place is None or top in WELL_KNOWN:
        return None
    return Diagnosis(
        "own package not importable",
        f"`{place}` of this repository is not on the import path of this environment",
        "install the repository into this environment: `pip install -e .`",
    )


def missing_dependency(failure: Failure, root: Path) -> Diagnosis | None:
    """A package that is not installed; the remedy is the repository's own way to install it."""
    inner = failure.innermost()
    if inner.type not in {"ImportError", "ModuleNotFoundError", "PackageNotFoundError"}:
        return None
    match = next((found for pattern in _ABSENT if (found := pattern.search(inner.message))), None)
    if match is None:
        return None
    top = match.group("module").split(".")[0]
    if top in sys.stdlib_module_names or installed(top) is not None:
        return None
    if _holds_package(root, top):
        return Diagnosis(
            "missing module",
            f"this repository's package `{top}` has no module `{match.group('module')}`",
            f"correct the name `{match.group('module')}` where it is imported or configured",
        )
    name = distribution_of(top)
    command = install_remedy(root, name)
    # A dependency that comes with the package itself is not optional.
    kind = "dependency" if command == "pip install -e ." else "optional dependency"
    session = os.environ.get(SESSION)
    added = (
        f'; into nox\'s: `register(requirements={{"{session}": ("{name}",)}})`' if session else ""
    )
    return Diagnosis(
        "missing optional dependency",
        f"the {kind} {name} is not installed in this environment",
        f"install it: `{command}`{added}",
    )


def _holds_package(root: Path, top: str) -> bool:
    """Whether the repository has a package or module of that name itself."""
    return any(
        (base / top).is_dir() or (base / f"{top}.py").is_file() for base in (root, root / "src")
    )


def version_conflict(failure: Failure, root: Path) -> Diagnosis | None:
    """Packages that are installed, but in versions that do not fit each other or the code."""
    inner = failure.innermost()
    if _BINARY.search(inner.message):
        return Diagnosis(
            "version conflict",
            "a compiled extension was built against another version of what it loads",
            "reinstall the packages that the message names together, from one lock file",
        )
    if _REQUIRES.search(inner.message):
        return Diagnosis(
            "version conflict",
            "an installed package is not of the version that another one requires",
            "install the version that the message asks for, and pin it in the requirements",
        )
    module = _half_there(inner)
    if module is None or _shadow(root, module.split(".")[0]):
        return None
    top = module.split(".")[0]
    release = installed(top)
    if release is None:
        return None
    name = distribution_of(top)
    return Diagnosis(
        "version conflict",
        f"the installed {name} {release} does not have what the code expects of it",
        f"install a version of {name} that has it and pin it, or adapt the code to this one",
    )


def syntax_error(failure: Failure, root: Path) -> Diagnosis | None:
    """A source file that is not valid Python for this interpreter."""
    del root
    inner = failure.innermost()
    if inner.type not in {"SyntaxError", "IndentationError", "TabError"}:
        return None
    parsed = re.findall(r'^ *File "([^"]+)", line \d+$', inner.traceback, re.MULTILINE)
    if parsed and parsed[-1].startswith("<"):
        return Diagnosis(
            "syntax error",
            "a text that is parsed as Python while the code runs is not valid Python",
            "look at what is given to `eval` or `literal_eval` there; an argument may need quotes",
        )
    place = re.search(r"\(([^()]+), line (\d+)\)", inner.message) or re.search(
        r"([\w./-]+\.pyi?):(?:(\d+):)?", inner.message
    )
    line = f" (line {place.group(2)})" if place and place.group(2) else ""
    where = f"`{place.group(1)}`{line}" if place else "a source file"
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return Diagnosis(
        "syntax error",
        f"{where} is not valid Python {python}",
        "mend the syntax there, or run with the Python version that the code is written for",
    )


def _half_there(failure: Failure) -> str | None:
    """The module that was found, but without what was asked of it."""
    if failure.type not in _IMPORTS:
        return None
    for pattern in _HALF_THERE:
        match = pattern.search(failure.message)
        if match:
            return match.group("module")
    return None


def _shadow(root: Path, top: str) -> str | None:
    for base in ("", "src/"):
        if (root / base / top / "__init__.py").is_file():
            return f"{base}{top}/"
        if (root / base / f"{top}.py").is_file():
            return f"{base}{top}.py"
    return None


def _is_own(root: Path, top: str) -> bool:
    """Whether the repository is that package: it may well be installed, as itself."""
    distribution = distribution_of(top)
    names = {normalized(top), normalized(distribution)}
    return own_name(root) in names or installed_from(distribution, root)


def _points_elsewhere(message: str, root: Path) -> bool:
    """Whether the message says that the module came from outside the repository."""
    match = re.search(r"\(([^()]*\.(?:py|pyd|so|pyc))\)", message)
    if match is None:
        return False
    path = Path(match.group(1))
    if "site-packages" in PurePosixPath(path.as_posix()).parts:
        return True
    return path.is_absolute() and not path.is_relative_to(root)
