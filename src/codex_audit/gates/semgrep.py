"""One semgrep run with the repository's own rules, offline, from its JSON and SARIF."""

from __future__ import annotations

import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from codex_audit.failure import Failure
from codex_audit.gates.found import finding, most_frequent, plural
from codex_audit.gates.tool import Budget, crashed, run_tool
from codex_audit.outcome import Check, Finding, Level, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from codex_audit.gates.base import Context

RULES = "semgrep_rules"
_LEVELS = {"error": Level.ERROR, "warning": Level.WARNING}


class Result(msgspec.Struct, frozen=True):
    """What semgrep found, with the failures it reports inside its own JSON."""

    check: Check
    findings: tuple[Finding, ...]
    failures: tuple[Failure, ...]


class _Error(msgspec.Struct):
    level: str
    type: str | list[Any]
    message: str = ""
    long_msg: str = ""
    path: str = ""

    def text(self) -> str:
        kind = self.type if isinstance(self.type, str) else str(self.type[0])
        return f"{kind}: {self.message or self.long_msg}"


class _Paths(msgspec.Struct):
    scanned: list[str]


class _Output(msgspec.Struct):
    errors: list[_Error]
    paths: _Paths


class _Sarif(msgspec.Struct):
    runs: list[dict[str, Any]]


def run_semgrep(context: Context, budget: Budget, targets: Sequence[str]) -> Result:
    """Run the rules of `semgrep_rules/` on `targets`, without metrics, updates or network.

    Raises:
        ToolError: semgrep is missing, crashed, was killed or timed out.
    """
    report, sarif = context.scratch / "semgrep.json", context.scratch / "semgrep.sarif"
    command = [
        str(program()), "scan", "--quiet", "--metrics=off", "--disable-version-check",
        f"--config={RULES}", f"--exclude={RULES}",
        f"--json-output={report}", f"--sarif-output={sarif}", *targets,
    ]  # fmt: skip
    done = run_tool(
        command,
        cwd=context.root,
        timeout=budget.left(),
        good_codes=range(256),  # its JSON says what went wrong, where there is one
        env=offline(context.scratch),
    )
    try:
        output = msgspec.json.decode(report.read_bytes(), type=_Output)
        runs = msgspec.json.decode(sarif.read_bytes(), type=_Sarif).runs if not done.code else []
    except (OSError, msgspec.DecodeError) as error:
        raise crashed(command, done) from error
    if done.code and not output.errors:
        raise crashed(command, done)
    found = [item for run in runs for item in _findings(context.root, run)]
    partly = [_partly(context.root, item) for item in output.errors if item.level != "error"]
    failures = tuple(
        Failure("SemgrepError", item.text()) for item in output.errors if item.level == "error"
    )
    return Result(
        _check(found, partly, failures, len(output.paths.scanned)), (*found, *partly), failures
    )


def program() -> Path:
    """The semgrep of this environment; `python -m semgrep` is no longer supported by it."""
    return Path(sysconfig.get_path("scripts")) / "semgrep"


def offline(scratch: Path) -> dict[str, str]:
    """Environment in which semgrep keeps to itself, and its files to `scratch`."""
    return {
        "SEMGREP_SEND_METRICS": "off",
        "SEMGREP_ENABLE_VERSION_CHECK": "0",
        "SEMGREP_SETTINGS_FILE": str(scratch / "semgrep-settings.yml"),
        "SEMGREP_LOG_FILE": str(scratch / "semgrep.log"),
    }


def _findings(root: Path, run: dict[str, Any]) -> list[Finding]:
    rules = run["tool"]["driver"]["rules"]
    levels = {rule["id"]: rule.get("defaultConfiguration", {}).get("level", "") for rule in rules}
    found = []
    for result in run["results"]:
        rule = result["ruleId"]
        place = result["locations"][0]["physicalLocation"]
        silenced = any(item.get("kind") == "inSource" for item in result.get("suppressions", ()))
        found.append(
            finding(
                root,
                rule.rpartition(".")[2],  # semgrep prefixes the directory of the rule
                _LEVELS.get(result.get("level") or levels.get(rule, ""), Level.NOTE),
                result["message"]["text"],
                (place["artifactLocation"]["uri"], place["region"]["startLine"]),
                "# nosemgrep" if silenced else None,
            )
        )
    return found


def _partly(root: Path, error: _Error) -> Finding:
    """A file that semgrep could not read or match whole: no fault of it, and no clean bill."""
    return finding(root, "semgrep-incomplete", Level.NOTE, error.text(), (error.path or ".", 1))


def _check(
    found: list[Finding], partly: list[Finding], failures: tuple[Failure, ...], files: int
) -> Check:
    open_ones = [item for item in found if item.suppressed_by is None]
    silenced = len(found) - len(open_ones)
    measured: dict[str, float | int | str | bool | None] = {
        "files": files,
        "findings": len(open_ones),
        "suppressed": silenced,
        "incomplete": len(partly),
    }
    if failures:
        summary = f"semgrep reports {plural(len(failures), 'error')} of its own"
        return Check("semgrep", Verdict.ERROR, summary, (), measured)
    if not files:
        return Check("semgrep", Verdict.SKIP, "semgrep finds no file to check", (), measured)
    summary = f"the rules of {RULES}/ find nothing in {plural(files, 'file')}"
    if open_ones:
        summary = f"{plural(len(open_ones), 'finding')} of semgrep: {most_frequent(open_ones)}"
    if silenced:
        summary += f"; {plural(silenced, 'finding')} silenced by # nosemgrep"
    if partly:
        summary += f"; {plural(len(partly), 'file')} could only be read in part"
    verdict = Verdict.FAIL if open_ones else Verdict.PASS
    return Check("semgrep", verdict, summary, (), measured)
