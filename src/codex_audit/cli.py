"""The command line: init, scan, gate, report, diff, explain; each imports what it uses."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from codex_audit import __version__

if TYPE_CHECKING:
    from codex_audit.report.document import StatusDocument
    from codex_audit.settings import Settings

BAD, USAGE = 1, 2
INTERRUPTED = 128 + 2  # as shells say it of SIGINT
ROOT = click.Path(path_type=Path)
NO_CACHE = click.option(
    "--no-cache", is_flag=True, help="Read every file again, whatever earlier audits found in it."
)


class _Group(click.Group):
    """Turns errors that have one clear line into that line and exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("\ncodex-audit: interrupted", err=True)
            raise SystemExit(INTERRUPTED) from None
        except NotADirectoryError as error:
            _refuse(str(error.args[0] if error.args else error))
        except OSError as error:
            place = f"{error.filename}: " if error.filename else ""
            _refuse(f"{place}{error.strerror or error}; nothing was left half-written")
        except (ValueError, LookupError) as error:
            if isinstance(error, _usage_errors()):
                _refuse(str(error.args[0] if error.args else error))
            raise


def _usage_errors() -> tuple[type[Exception], ...]:
    """What is the user's to mend; imported only when something went wrong."""
    from codex_audit.capabilities.catalog import CatalogError  # noqa: PLC0415
    from codex_audit.gates.base import GateUsageError, UnknownGateError  # noqa: PLC0415
    from codex_audit.report.diff import DiffError  # noqa: PLC0415
    from codex_audit.settings import SettingsError  # noqa: PLC0415

    return SettingsError, CatalogError, DiffError, GateUsageError, UnknownGateError


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="codex-audit")
def main() -> None:
    """Tell the truth about a PyTorch repository.

    Exit codes: 0 good, 1 the verdict is bad, 2 usage or environment.
    """


@main.command()
@click.argument("path", type=ROOT)
@click.option("--json", "json_file", type=ROOT, help="Also write the answers as JSON to this file.")
@click.option(
    "--format", "format_name", default="markdown", show_default=True,
    type=click.Choice(["markdown", "json", "sarif"]), help="What is printed.",
)  # fmt: skip
@click.option(
    "--fail-on", type=click.Choice(["never", "gaps", "missing"]), default="never",
    show_default=True,
    help="Exit 1 when a required criterion is unmet (gaps), or a capability missing or stubbed.",
)  # fmt: skip
@NO_CACHE
def scan(
    path: Path, json_file: Path | None, format_name: str, fail_on: str, *, no_cache: bool
) -> None:
    """Audit the tree at PATH, a repository or a directory of one, without running any of it."""
    from codex_audit.collection import no_collection, no_collection_at_exit  # noqa: PLC0415

    no_collection_at_exit()
    with no_collection():
        from codex_audit.outcome import write_atomically  # noqa: PLC0415
        from codex_audit.projects import audited  # noqa: PLC0415
        from codex_audit.report.formats import find_format  # noqa: PLC0415
        from codex_audit.report.merge import merge  # noqa: PLC0415

        _directory(path)
        what = audited(path)
        found = what.scan(_command(), cached=not no_cache)
        projects = what.projects(_command(), cached=not no_cache)
        document = merge(found, None, what.settings, projects)
        if json_file is not None:
            write_atomically(json_file, find_format("json").render(document).encode())
        click.echo(find_format(format_name).render(document).rstrip("\n"))
    raise SystemExit(BAD if _fails(document, fail_on) else 0)


def _fails(document: StatusDocument, fail_on: str) -> bool:
    """Whether the repository, or a project of it, is short of what was asked for."""
    from codex_audit.capabilities.grading import is_graded  # noqa: PLC0415
    from codex_audit.records import Answer, Status  # noqa: PLC0415

    each = (document.capabilities, *(one.capabilities for one in document.projects.values()))
    capabilities = [capability for found in each for capability in found.values()]
    if fail_on == "never":
        return False
    if fail_on == "missing":
        return any(one.status in {Status.MISSING, Status.STUBBED} for one in capabilities)
    return any(
        is_graded(criterion)
        and criterion.required
        and criterion.answer in {Answer.UNMET, Answer.UNKNOWN}
        for one in capabilities
        for criterion in one.criteria.values()
    )


@main.command("init")
@click.argument("path", type=ROOT, default=".")
def init_command(path: Path) -> None:
    """Write a noxfile, settings and a CI workflow.

    They are for the repository at PATH. No file that is there is touched: what is to be added to
    it is printed.
    """
    from codex_audit.init import Done, init  # noqa: PLC0415

    _directory(path)
    parts = init(path)
    for part in parts:
        click.echo(f"{part.path}: {part.done}{f'; {part.note}' if part.note else ''}")
        if part.text:
            click.echo(f"\n{part.text.strip()}\n")
    if all(part.done is Done.THERE for part in parts):
        click.echo("There was nothing to do.")
    click.echo(
        "Now: `git add` what was written, then `nox -s lint` for one gate, `nox -s audit` for all "
        "and the documents."
    )


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("name")
@click.option("--root", type=ROOT, default=".", show_default=True, help="The audited repository.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def gate(name: str, root: Path, arguments: tuple[str, ...]) -> None:
    """Run the gate NAME and write its outcome; ARGUMENTS go to the gate.

    Exits 1 when it fails, 2 when it could not be carried out, 0 when it passes or is skipped.
    """
    from codex_audit.gates.runner import exit_code, run_gate  # noqa: PLC0415
    from codex_audit.report.gate_summary import gate_summary  # noqa: PLC0415

    outcome = run_gate(name, root.resolve(), arguments)
    click.echo(gate_summary(outcome))
    raise SystemExit(exit_code(outcome.verdict))


@main.command()
@click.option("--root", type=ROOT, default=".", show_default=True, help="The audited repository.")
@click.option("--out", type=ROOT, help="Where the documents go; `out` of the settings otherwise.")
@NO_CACHE
def report(root: Path, out: Path | None, *, no_cache: bool) -> None:
    """Merge the outcomes of the gates with a static audit into every format.

    Exits 1 unless every required gate passed.
    """
    from codex_audit.projects import Audited  # noqa: PLC0415
    from codex_audit.report.document import Overall  # noqa: PLC0415
    from codex_audit.report.merge import merge  # noqa: PLC0415
    from codex_audit.report.summary import summary  # noqa: PLC0415
    from codex_audit.report.write import write_report  # noqa: PLC0415

    root = root.resolve()
    settings = _settings(root)
    home = root / settings.out
    what, cached = Audited(root, settings, root), not no_cache
    found, projects = what.scan(_command(), cached=cached), what.projects(_command(), cached=cached)
    document = merge(found, home / "outcomes", settings, projects)
    paths = write_report(document, out or home, home / "outcomes")
    click.echo(summary(document, paths).rstrip())
    raise SystemExit(0 if document.verdict is Overall.PASS else BAD)


@main.command()
@click.argument("old", type=ROOT)
@click.argument("new", type=ROOT)
@click.option("--json", "json_file", type=ROOT, help="Also write the changes as JSON to this file.")
def diff(old: Path, new: Path, json_file: Path | None) -> None:
    """Say what changed between two status documents.

    OLD and NEW are JSON files. It says as well whether the tree, the rules or the settings did.
    Either is `status.json` of a report or what `scan --json` wrote. Exits 1 when something that
    held no longer does.
    """
    from codex_audit.report.diff import Effect, compare  # noqa: PLC0415
    from codex_audit.report.diff_markdown import render  # noqa: PLC0415

    difference = compare(old, new)
    if json_file is not None:
        import msgspec  # noqa: PLC0415

        from codex_audit.outcome import write_atomically  # noqa: PLC0415

        text = msgspec.json.format(msgspec.json.encode(difference), indent=2)
        write_atomically(json_file, text + b"\n")
    click.echo(render(difference).rstrip("\n"))
    raise SystemExit(BAD if difference.of(Effect.WORSE) else 0)


@main.command()
@click.argument("identifier", required=False)
@click.option("--root", type=ROOT, default=".", show_default=True, help="The audited repository.")
def explain(identifier: str | None, root: Path) -> None:
    """Explain what is called IDENTIFIER: why, what counts, what does not, remedy.

    A criterion, capability, gate, check, rule, subject, framework, cause of an error, or a word of
    the document. Without one, list them.
    """
    from codex_audit.explain.lookup import (  # noqa: PLC0415
        UnknownIdentifierError,
        explain_text,
        listing,
    )
    from codex_audit.projects import audited  # noqa: PLC0415

    _directory(root)
    what = audited(root)
    if identifier is None:
        click.echo(listing(what.home, what.settings))
        return
    try:
        click.echo(explain_text(identifier, what.home, what.settings))
    except UnknownIdentifierError as error:
        _refuse(str(error))


def _settings(root: Path) -> Settings:
    from codex_audit.settings import load_settings  # noqa: PLC0415

    _directory(root)
    return load_settings(root)


def _directory(root: Path) -> None:
    if not root.is_dir():
        what = "is a file" if root.is_file() else "no such directory"
        raise NotADirectoryError(f"{root}: {what}; give the directory of a repository")


def _command() -> str:
    return " ".join(["codex-audit", *sys.argv[1:]])


def _refuse(message: str) -> NoReturn:
    click.echo(f"codex-audit: {message}", err=True)
    raise SystemExit(USAGE)
