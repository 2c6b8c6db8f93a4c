"""The type gate: `mypy --strict`, from mypy's JSON."""

from __future__ import annotations

import configparser
from typing import TYPE_CHECKING

import msgspec
import tomli

from codex_audit.gates.base import Context, Gate, Report
from codex_audit.gates.found import finding, most_frequent, plural
from codex_audit.gates.tool import crashed, installed_version, python_module, run_tool
from codex_audit.outcome import Check, Finding, Level, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from codex_audit.gates.tool import Completed

_TARGET_KEYS = ("files", "packages", "modules")
_BLOCKED = 2


class _Item(msgspec.Struct):
    """One line of mypy's JSON output."""

    file: str
    line: int
    message: str
    severity: str
    code: str | None = None


def run(context: Context) -> Report:
    """Run `mypy --strict` on what settings, mypy's configuration or the layout name.

    Raises:
        ToolError: mypy is missing, crashed (a usage or configuration error is a crash), was
            killed or timed out.
    """
    tools = {"mypy": installed_version("mypy")}
    paths = targets(context.root, context.settings.type_paths)
    if paths == []:
        return Report(reason="there is no package or module to check", tools=tools)
    cache = context.root / context.settings.out / "cache" / "mypy"
    options = ("--strict", "--output", "json", "--no-error-summary", "--cache-dir", str(cache))
    command = python_module("mypy", *options, *context.args, *(paths or ()))
    done = run_tool(command, cwd=context.root, timeout=context.timeout, good_codes=(0, 1, _BLOCKED))
    items = _items(command, done)
    found = tuple(_finding(context.root, item) for item in items if item.severity == "error")
    blocked = done.code == _BLOCKED
    return Report(
        checks=(_check(found, paths, blocked=blocked),),
        findings=found,
        facts={"targets": paths if paths is not None else "mypy's own configuration"},
        tools=tools,
    )


def targets(root: Path, wanted: Sequence[str]) -> list[str] | None:
    """What mypy is given: `wanted`, or nothing (`None`) where its configuration says, or packages.

    Packages are what lies in `src/`; without it, the top-level packages, and without those
    the top-level modules.
    """
    if wanted:
        return list(wanted)
    if _configured(root):
        return None
    if any(_python(root / "src")):
        return ["src"]
    packages = sorted(path.parent.name for path in root.glob("*/__init__.py"))
    packages = [name for name in packages if name not in {"tests", "test", "docs"}]
    return packages or sorted(path.name for path in root.glob("*.py"))


def _python(directory: Path) -> list[Path]:
    return [*directory.glob("*.py"), *directory.glob("*/*.py"), *directory.glob("*/*/*.py")]


def _configured(root: Path) -> bool:
    """Whether the configuration that mypy would read names what to check."""
    for name in ("mypy.ini", ".mypy.ini"):
        if (root / name).is_file():
            return _ini_names_targets(root / name)
    pyproject = root / "pyproject.toml"
    if pyproject.is_file():
        table = tomli.loads(pyproject.read_text(encoding="utf-8")).get("tool", {}).get("mypy")
        if table is not None:
            return any(key in table for key in _TARGET_KEYS)
    return (root / "setup.cfg").is_file() and _ini_names_targets(root / "setup.cfg")


def _ini_names_targets(path: Path) -> bool:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.read(path, encoding="utf-8")
    return any(parser.has_option("mypy", key) for key in _TARGET_KEYS)


def _items(command: Sequence[str], done: Completed) -> list[_Item]:
    try:
        items = [
            msgspec.json.decode(line, type=_Item)
            for line in done.stdout.splitlines()
            if line.strip()
        ]
    except msgspec.DecodeError as error:
        raise crashed(command, done) from error
    # 2 is usage or a crash, except that mypy says it of files it cannot parse.
    only_syntax = bool(items) and all(item.code == "syntax" for item in items)
    if done.code == _BLOCKED and not only_syntax:
        raise crashed(command, done)
    return items


def _finding(root: Path, item: _Item) -> Finding:
    place = (item.file, max(item.line, 1))
    return finding(root, item.code or "mypy", Level.ERROR, item.message, place)


def _check(found: Sequence[Finding], paths: list[str] | None, *, blocked: bool) -> Check:
    files = len({item.path for item in found})
    where = ", ".join(paths) if paths else "what its configuration names"
    if blocked:
        summary = f"{plural(len(found), 'syntax error')} stopped mypy: nothing else was checked"
    elif found:
        summary = (
            f"{plural(len(found), 'type error')} in {plural(files, 'file')}: {most_frequent(found)}"
        )
    else:
        summary = f"mypy --strict finds no error in {where}"
    return Check(
        id="mypy_strict",
        verdict=Verdict.FAIL if found else Verdict.PASS,
        summary=summary,
        measured={"errors": len(found), "files_with_errors": files},
    )


GATE = Gate(
    name="type",
    phase=6,
    step="type",
    title="mypy --strict",
    why=(
        "A type error in a branch that runs once an epoch shows after hours; mypy shows it "
        "before. Strict, because unannotated code is not checked at all. The repository's own "
        "mypy configuration is respected."
    ),
    run=run,
)
