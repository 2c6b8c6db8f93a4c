"""One bandit run, from its JSON: findings, what was silenced, and files it could not read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import tomli

from codex_audit.failure import Failure
from codex_audit.gates.found import finding, most_frequent, plural, relative
from codex_audit.gates.tool import Budget, crashed, python_module, run_tool
from codex_audit.outcome import Check, Finding, Level, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from codex_audit.gates.base import Context

_LEVELS = {"HIGH": Level.ERROR, "MEDIUM": Level.WARNING}


class Result(msgspec.Struct, frozen=True):
    """What bandit found, with the failures it reports inside its own JSON."""

    check: Check
    findings: tuple[Finding, ...]
    failures: tuple[Failure, ...]


class _Output(msgspec.Struct):
    results: list[dict[str, Any]]
    errors: list[dict[str, str]]
    metrics: dict[str, dict[str, int]]


def run_bandit(context: Context, budget: Budget, targets: Sequence[str]) -> Result:
    """Run bandit on `targets` with the repository's profile.

    A profile says what the repository wants to be asked, so that each finding counts. Without one,
    findings of bandit's lowest severity (`assert`, an import of subprocess) are listed, no more.

    Raises:
        ToolError: bandit crashed, was killed or timed out.
    """
    output = _bandit(context, budget, targets)
    open_ones = [_finding(context.root, item) for item in output.results]
    silenced: list[Finding] = []
    totals = output.metrics.get("_totals", {})
    if totals.get("nosec") or totals.get("skipped_tests"):
        # Bandit only counts what such comments silence; a second run that ignores them names it.
        seen = {_identity(item) for item in output.results}
        whole = _bandit(context, budget, targets, "--ignore-nosec")
        silenced = [
            _finding(context.root, item, "# nosec")
            for item in whole.results
            if _identity(item) not in seen
        ]
    failures = tuple(
        Failure("SyntaxError" if "syntax error" in item["reason"] else "BanditError",
                f"{relative(context.root, item['filename'])}: {item['reason']}")
        for item in output.errors
    )  # fmt: skip
    files = len(output.metrics) - 1
    return Result(
        _check(
            open_ones, silenced, files, totals.get("loc", 0), strict=bool(profile(context.root))
        ),
        (*open_ones, *silenced),
        failures,
    )


def profile(root: Path) -> list[str]:
    """The option that names the repository's bandit profile, if it has one."""
    if (root / "bandit.yaml").is_file():
        return ["-c", "bandit.yaml"]
    pyproject = root / "pyproject.toml"
    if pyproject.is_file():
        data = tomli.loads(pyproject.read_text(encoding="utf-8"))
        if "bandit" in data.get("tool", {}):
            return ["-c", "pyproject.toml"]
    return []


def _bandit(context: Context, budget: Budget, targets: Sequence[str], *options: str) -> _Output:
    file = context.scratch / "bandit.json"
    file.unlink(missing_ok=True)
    command = python_module(
        "bandit", "-q", "-f", "json", "-o", str(file), *profile(context.root), *options,
        "-r", *targets,
    )  # fmt: skip
    done = run_tool(command, cwd=context.root, timeout=budget.left(), good_codes=(0, 1))
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Output)
    except (OSError, msgspec.DecodeError) as error:
        raise crashed(command, done) from error


def _identity(item: dict[str, Any]) -> tuple[object, ...]:
    return item["test_id"], item["filename"], item["line_number"], item["col_offset"]


def _finding(root: Path, item: dict[str, Any], suppressed_by: str | None = None) -> Finding:
    level = _LEVELS.get(item["issue_severity"], Level.NOTE)
    message = f"{item['issue_text']} ({item['test_name']})"
    place = (item["filename"], item["line_number"])
    return finding(root, item["test_id"], level, message, place, suppressed_by)


def _check(
    found: list[Finding], silenced: list[Finding], files: int, loc: int, *, strict: bool
) -> Check:
    serious = [one for one in found if strict or one.level is not Level.NOTE]
    low = [one for one in found if one not in serious]
    measured: dict[str, float | int | str | bool | None] = {
        "files": files,
        "lines": loc,
        "findings": len(found),
        "suppressed": len(silenced),
    }
    if not files:
        return Check("bandit", Verdict.SKIP, "bandit finds no Python file to check", (), measured)
    summary = f"bandit finds nothing{' serious' if low else ''} in {plural(files, 'file')}"
    if serious:
        summary = f"{plural(len(serious), 'finding')} of bandit: {most_frequent(serious)}"
    if low:
        summary += (
            f"; {plural(len(low), 'finding')} of low severity ({most_frequent(low)}), which fail "
            "only with a bandit profile"
        )
    if silenced:
        summary += f"; {plural(len(silenced), 'finding')} silenced by # nosec"
    verdict = Verdict.FAIL if serious else Verdict.PASS
    return Check("bandit", verdict, summary, (), measured)
