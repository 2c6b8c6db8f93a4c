"""The security gate: bandit, semgrep with the repository's own rules, hadolint; all offline."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from codex_audit.diagnosis import Failure, capture
from codex_audit.gates.bandit import run_bandit
from codex_audit.gates.base import Context, Gate, GateUsageError, Report
from codex_audit.gates.found import relative
from codex_audit.gates.hadolint import DISTRIBUTION, dockerfiles, run_hadolint
from codex_audit.gates.semgrep import RULES, run_semgrep
from codex_audit.gates.tool import Budget, ToolError, installed_version
from codex_audit.outcome import CapturedError, Check, Finding, Verdict
from codex_audit.tree.files import list_tree

if TYPE_CHECKING:
    from collections.abc import Callable

    from codex_audit.gates import bandit, hadolint, semgrep

    Result = bandit.Result | hadolint.Result | semgrep.Result


def run(context: Context) -> Report:
    """Run all tools; what stops one of them is an error, and the others still run.

    Raises:
        GateUsageError: an argument is an option.
    """
    options = [arg for arg in context.args if arg.startswith("-")]
    if options:
        raise GateUsageError(
            f"security: {options[0]!r} is no path; give paths, and configure the tools in files"
        )
    containers = dockerfiles(context)
    named = [path for path in context.args if relative(context.root, path) not in containers]
    targets = named if context.args else default_targets(context)
    if not targets and not containers:
        return Report(reason="there is no Python file and no Dockerfile to check")
    budget = Budget(context.timeout)
    found = _Collected(context)
    if targets:
        found.add("bandit", lambda: run_bandit(context, budget, targets))
    else:
        found.skip("bandit", "there is no Python file to check")
    if not targets:
        found.skip("semgrep", "there is no Python file to check")
    elif (context.root / RULES).is_dir():
        found.add("semgrep", lambda: run_semgrep(context, budget, targets))
    else:
        found.skip("semgrep", f"this repository has no {RULES}/ with rules to apply")
    if containers:
        found.add("hadolint", lambda: run_hadolint(context, budget, containers), DISTRIBUTION)
    else:
        found.skip("hadolint", "there is no Dockerfile to check")
    return Report(
        checks=tuple(found.checks),
        findings=tuple(found.findings),
        errors=tuple(found.errors),
        facts={"targets": targets},
        tools=found.tools,
    )


def default_targets(context: Context) -> list[str]:
    """What settings name; else `src`; else the top-level entries that hold Python but no tests."""
    if context.settings.security_paths:
        return list(context.settings.security_paths)
    paths = [
        PurePosixPath(file.path)
        for file in list_tree(context.root, context.settings.exclude).files
        if file.path.endswith(".py") and file.role != "test"
    ]
    tops = {path.parts[0] for path in paths}
    return ["src"] if "src" in tops else sorted(tops - {RULES})


class _Collected:
    """What the tools gave, one after the other."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.checks: list[Check] = []
        self.findings: list[Finding] = []
        self.errors: list[CapturedError] = []
        self.tools: dict[str, str] = {}

    def skip(self, tool: str, reason: str) -> None:
        """Say why a tool does not run."""
        self.checks.append(Check(tool, Verdict.SKIP, reason))

    def add(self, tool: str, run_it: Callable[[], Result], distribution: str = "") -> None:
        """Run a tool and take what it gives, also when that is an error."""
        try:
            self.tools[tool] = installed_version(distribution or tool)
            result = run_it()
        except ToolError as error:
            self._capture(tool, Failure.of(error))
            return
        self.checks.append(result.check)
        self.findings.extend(result.findings)
        for failure in result.failures:
            self._capture(tool, failure)

    def _capture(self, tool: str, failure: Failure) -> None:
        self.errors.append(
            capture(failure, phase=6, step="security", context=tool, root=self.context.root)
        )


GATE = Gate(
    name="security",
    phase=6,
    step="security",
    title="bandit, semgrep and hadolint",
    why=(
        "A checkpoint loaded with pickle runs whatever its author wrote into it. Bandit knows "
        "Python's dangerous calls; the rules in semgrep_rules/ know those of PyTorch projects. "
        "A Dockerfile, where there is one, is read by hadolint, without a container engine. All "
        "run offline, and what a comment silences is still listed."
    ),
    run=run,
)
