"""The lint gate: ruff's rules and ruff's format, from ruff's JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from codex_audit.gates.base import Context, Gate, GateUsageError, Report
from codex_audit.gates.found import finding, most_frequent, plural
from codex_audit.gates.tool import Budget, crashed, installed_version, python_module, run_tool
from codex_audit.outcome import Check, Finding, Level, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from codex_audit.gates.tool import Completed

_SYNTAX = "invalid-syntax"
# Whatever the repository's configuration says (`fix`, `fix-only`): a gate changes no file.
_READ_ONLY = ("--no-fix", "--no-fix-only")


def run(context: Context) -> Report:
    """Run `ruff check` and `ruff format --check` with the repository's own configuration.

    Raises:
        GateUsageError: an argument is an option.
        ToolError: ruff is missing, crashed (a configuration it rejects is a crash), was killed
            or timed out.
    """
    tools = {"ruff": installed_version("ruff")}
    budget = Budget(context.timeout)
    options = [arg for arg in context.args if arg.startswith("-")]
    if options:
        raise GateUsageError(
            f"lint: {options[0]!r} is no path; give paths, and configure ruff in its own files"
        )
    paths = context.args or context.settings.lint_paths or (".",)
    files = _files(context, budget, paths)
    if not files:
        return Report(reason="ruff finds no Python file here", tools=tools)
    rules = _ruff(context, budget, ("check", *_READ_ONLY), paths)
    layout = _ruff(context, budget, ("format", "--check"), paths)
    # A file that cannot be parsed is ruff check's finding; once is enough.
    unformatted = [found for found in layout if found.rule != _SYNTAX]
    unreadable = len(layout) - len(unformatted)
    return Report(
        checks=(_rules_check(rules, files), _format_check(unformatted, unreadable, files)),
        findings=(*rules, *unformatted),
        tools=tools,
    )


def _files(context: Context, budget: Budget, paths: Sequence[str]) -> int:
    command = python_module("ruff", "check", "--show-files", *paths)
    done = run_tool(command, cwd=context.root, timeout=budget.left())
    # It lists configuration files as well, which alone are nothing to lint.
    return sum(line.endswith((".py", ".pyi", ".ipynb")) for line in done.stdout.splitlines())


def _ruff(
    context: Context, budget: Budget, action: tuple[str, ...], paths: Sequence[str]
) -> list[Finding]:
    cache = context.root / context.settings.out / "cache" / "ruff"
    options = ("--output-format", "json", "--cache-dir", str(cache))
    command = python_module("ruff", *action, *options, *paths)
    done = run_tool(command, cwd=context.root, timeout=budget.left(), good_codes=(0, 1, 2))
    return [_finding(context, item) for item in _items(command, done)]


def _items(command: Sequence[str], done: Completed) -> list[dict[str, Any]]:
    try:
        items = msgspec.json.decode(done.stdout, type=list[dict[str, Any]])
    except msgspec.DecodeError as error:
        raise crashed(command, done) from error
    # 2 is "ruff itself failed", except that the formatter says it of files it cannot parse.
    if done.code == 2 and not any(item.get("name") == _SYNTAX for item in items):  # noqa: PLR2004
        raise crashed(command, done)
    return items


def _finding(context: Context, item: dict[str, Any]) -> Finding:
    rule = item["code"] or item["name"]
    level = Level.WARNING if item.get("severity") == "warning" else Level.ERROR
    place = (item["filename"], item["location"]["row"])
    return finding(context.root, rule, level, item["message"], place)


def _rules_check(found: list[Finding], files: int) -> Check:
    fixed = f"{plural(len(found), 'finding')} of ruff: {most_frequent(found)}"
    return Check(
        id="ruff_check",
        verdict=Verdict.FAIL if found else Verdict.PASS,
        summary=fixed if found else f"ruff check has nothing to say of {plural(files, 'file')}",
        measured={"files": files, "findings": len(found)},
    )


def _format_check(found: list[Finding], unreadable: int, files: int) -> Check:
    words = []
    if found:
        words.append(f"{plural(len(found), 'file')} would be reformatted")
    if unreadable:
        words.append(f"{plural(unreadable, 'syntax error')} kept files from being checked")
    return Check(
        id="ruff_format",
        verdict=Verdict.FAIL if words else Verdict.PASS,
        summary="; ".join(words) or f"{plural(files, 'file')} formatted as ruff would",
        measured={"files": files, "unformatted": len(found)},
    )


GATE = Gate(
    name="lint",
    phase=6,
    step="lint",
    title="ruff's rules and format",
    why=(
        "Ruff finds unused and undefined names, shadowed variables, mutable defaults and other "
        "slips before they cost a training run; one format keeps changes readable. The "
        "repository's own ruff configuration decides which rules apply."
    ),
    run=run,
)
