"""The tests gate: pytest with coverage, from its JUnit XML and coverage's JSON."""

from __future__ import annotations

import re
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import msgspec

from codex_audit.diagnosis import Failure, capture, diagnose
from codex_audit.gates.base import Context, Gate, Report
from codex_audit.gates.found import finding, plural
from codex_audit.gates.junit import Suite, read_suite
from codex_audit.gates.tool import Budget, crashed, installed_version, run_tool
from codex_audit.outcome import CapturedError, Check, Finding, Level, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from codex_audit.gates.tool import Completed

# The cause of an error that says: a package of others is missing.
_MISSING = "missing optional dependency"
# pytest's exit codes: all passed, some failed, interrupted, nothing collected.
_PASSED, _FAILED, _INTERRUPTED, _NOTHING = 0, 1, 2, 5
_SUMMARY = re.compile(
    r"^=*\s*((?:\d+ \w+(?:, )?)+|no tests ran|.*\bdeselected)( in [\d.]+s(?: \([\d:]+\))?)\s*=*$",
    re.MULTILINE,
)


class _Totals(msgspec.Struct):
    percent_covered: float


class _File(msgspec.Struct):
    summary: _Totals


class _Coverage(msgspec.Struct):
    totals: _Totals
    files: dict[str, _File]


def run(context: Context) -> Report:
    """Run pytest with `context.args`, and coverage where pytest-cov is installed.

    Raises:
        ToolError: pytest is missing, crashed (a usage or internal error is a crash), was killed
            or timed out.
    """
    tools = {"pytest": installed_version("pytest")}
    covered = _add_version(tools, "pytest-cov") and _add_version(tools, "coverage")
    budget = Budget(context.timeout)
    junit, measured = context.scratch / "junit.xml", context.scratch / "coverage.json"
    # Not `-P`: `python -m pytest` is how a repository without installation is tested.
    command = [
        sys.executable, "-m", "pytest", "--color=no", f"--junitxml={junit}",
        "-o", "junit_family=xunit1", *(("--cov", f"--cov-report=json:{measured}") * covered),
        *context.args,
    ]  # fmt: skip
    done = run_tool(
        command,
        cwd=context.root,
        timeout=budget.left(),
        good_codes=(_PASSED, _FAILED, _INTERRUPTED, _NOTHING),
        env={"COVERAGE_FILE": str(context.scratch / "coverage.data")},
    )
    log = context.scratch / "pytest.log"
    log.write_text(done.stdout + done.stderr, encoding="utf-8")
    suite = _suite(command, done, junit)
    floor = _fail_under(context, budget) if measured.is_file() else 0.0
    coverage = _read_coverage(measured)
    cover_check = _coverage_check(coverage, floor, covered=covered)
    missed = cover_check.verdict is Verdict.FAIL
    errors = _not_installed(context.root, suite)
    if errors:
        check = _untried_check(suite, errors)
    else:
        check = _tests_check(suite, done, missed_floor=missed)
    return Report(
        checks=(check, cover_check),
        errors=errors,
        findings=_findings(context.root, suite),
        facts=_facts(suite, done, coverage, log.relative_to(context.root).as_posix()),
        tools=tools,
    )


def _add_version(tools: dict[str, str], package: str) -> bool:
    try:
        tools[package] = version(package)
    except PackageNotFoundError:
        return False
    return True


def _suite(command: Sequence[str], done: Completed, junit: Path) -> Suite:
    try:
        suite = read_suite(junit)
    except (OSError, ValueError) as error:
        raise crashed(command, done) from error
    if done.code == _INTERRUPTED and not suite.count("error"):
        raise crashed(command, done)  # not by errors of collection
    return suite


def _not_installed(root: Path, suite: Suite) -> tuple[CapturedError, ...]:
    """One error for each package that is missing here, where nothing else went wrong.

    Tests that cannot be imported for want of a package of others are not red: they were not tried.
    """
    bad = [case for case in suite.cases if case.outcome in {"failed", "error"}]
    found: dict[str, CapturedError] = {}
    for case in bad:
        _, named, said = case.message.partition("ModuleNotFoundError: ")
        failure = Failure("ModuleNotFoundError", said)
        if not named or case.outcome == "failed" or diagnose(failure, root).cause != _MISSING:
            return ()
        made = capture(
            failure, phase=GATE.phase, step=GATE.step, context=f"importing {case.path}", root=root
        )
        found.setdefault(said, made)
    return tuple(found.values())


def _untried_check(suite: Suite, errors: Sequence[CapturedError]) -> Check:
    count = suite.count("error")
    return Check(
        id="tests_pass",
        verdict=Verdict.ERROR,
        summary=f"{plural(count, 'test file')} cannot be imported: {errors[0].message}",
        measured=_measured(suite),
    )


def _tests_check(suite: Suite, done: Completed, *, missed_floor: bool) -> Check:
    bad, passed = suite.count("failed", "error"), suite.count("passed", "xfailed")
    verdict = Verdict.FAIL
    if not suite.cases:
        summary = "no tests were collected"
    elif bad:
        summary = f"{plural(bad, 'test')} of {len(suite.cases)} failed"
    elif not passed:
        summary = f"all {plural(len(suite.cases), 'test')} were skipped: nothing was tested"
    elif done.code != _PASSED and not missed_floor:
        said = re.findall(r"^(?:ERROR|FAIL)\b.*", done.stdout + done.stderr, re.MULTILINE)
        summary = f"no test failed, but pytest ended with exit code {done.code}"
        summary += f": {said[-1]}" if said else ""
    else:
        verdict = Verdict.PASS
        summary = f"{plural(suite.count('passed'), 'test')} passed"
        for outcome, words in (("xfailed", "failed as expected"), ("skipped", "skipped")):
            summary += f", {suite.count(outcome)} {words}" if suite.count(outcome) else ""
    return Check(
        id="tests_pass",
        verdict=verdict,
        summary=summary,
        measured=_measured(suite),
    )


def _measured(suite: Suite) -> dict[str, float | int | str | bool | None]:
    return {
        "tests": len(suite.cases),
        "failures": suite.count("failed"),
        "errors": suite.count("error"),
        "skipped": suite.count("skipped"),
        "seconds": round(suite.seconds, 3),
    }


def _read_coverage(path: Path) -> _Coverage | None:
    """What coverage measured; nothing where it was switched off or had nothing to measure."""
    if not path.is_file():
        return None
    return msgspec.json.decode(path.read_bytes(), type=_Coverage)


def _fail_under(context: Context, budget: Budget) -> float:
    """The floor that the repository's own coverage configuration sets; 0 for none."""
    ask = "import coverage; print(coverage.Coverage().get_option('report:fail_under'))"
    done = run_tool([sys.executable, "-P", "-c", ask], cwd=context.root, timeout=budget.left())
    return float(done.stdout)


def _coverage_check(coverage: _Coverage | None, floor: float, *, covered: bool) -> Check:
    if coverage is None:
        why = "nothing was measured" if covered else "pytest-cov is not installed here"
        return Check("coverage", Verdict.SKIP, f"no coverage: {why}")
    percent = coverage.totals.percent_covered
    low = percent < floor
    summary = f"{percent:.1f} % of the code is covered"
    if floor:
        summary += f", {'less than' if low else 'at least'} the required {floor:g} %"
    measured = {"percent": round(percent, 2), "files": len(coverage.files)}
    if floor:
        measured["fail_under"] = floor
    return Check("coverage", Verdict.FAIL if low else Verdict.PASS, summary, (), {**measured})


def _findings(root: Path, suite: Suite) -> tuple[Finding, ...]:
    return tuple(
        finding(
            root,
            "test-failed" if case.outcome == "failed" else "test-error",
            Level.ERROR,
            f"{case.name}: {case.message}",
            (case.path, case.line),
        )
        for case in suite.cases
        if case.outcome in {"failed", "error"}
    )


def _facts(suite: Suite, done: Completed, coverage: _Coverage | None, log: str) -> dict[str, Any]:
    skipped = [
        {"test": case.name, "reason": case.message}
        for case in suite.cases
        if case.outcome == "skipped"
    ]
    facts: dict[str, Any] = {
        "summary_line": _summary_line(suite, done),
        "log": log,
        "subject": {"name": "the repository's tests", "in_tree": True},
    }
    if skipped:
        facts["skipped"] = skipped
    if coverage is not None:
        facts["coverage"] = {
            path: round(file.summary.percent_covered, 1)
            for path, file in sorted(coverage.files.items())
        }
    return facts


def _summary_line(suite: Suite, done: Completed) -> str:
    """Pytest's own closing line, or the same from the JUnit file where it was told to be quiet."""
    lines = _SUMMARY.findall(done.stdout)
    if lines:
        return "".join(lines[-1])
    counts = [
        (suite.count(outcome), outcome)
        for outcome in ("failed", "passed", "skipped", "xfailed", "error")
    ]
    words = ", ".join(f"{count} {outcome}" for count, outcome in counts if count)
    return f"{words or 'no tests ran'} in {done.seconds:.2f}s"


GATE = Gate(
    name="tests",
    phase=6,
    step="tests",
    title="pytest with coverage",
    why=(
        "Tests are what a repository itself says must hold. Skipped tests are listed with their "
        "reasons, no tests at all is a failure, and coverage says what no test reaches."
    ),
    run=run,
)
