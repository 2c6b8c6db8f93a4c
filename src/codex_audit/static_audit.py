"""The answers to all criteria for one tree: its facts, what they show, and how that is graded."""

from __future__ import annotations

import difflib
from datetime import UTC, datetime
from functools import cache as once
from functools import lru_cache
from typing import TYPE_CHECKING

from codex_audit.capabilities.catalog import deep, load_catalog
from codex_audit.capabilities.evaluate import evaluate
from codex_audit.capabilities.extension import full_catalog
from codex_audit.capabilities.kept_needs import kept_needs
from codex_audit.capabilities.kind import declaration
from codex_audit.capabilities.match import Findings
from codex_audit.capabilities.probes import Probes
from codex_audit.capabilities.survey import survey
from codex_audit.diagnosis import Failure, capture
from codex_audit.outcome import CapturedError, Provenance
from codex_audit.records import RepoMap, Scan
from codex_audit.reproducibility import checklist, checklist_signals
from codex_audit.settings import Settings, SettingsError
from codex_audit.tree.facts import collapse
from codex_audit.tree.reading import shown_path, shown_text, snippet_of, text_lines, text_of
from codex_audit.tree.readme import named_in_readme
from codex_audit.tree.repo_map import repo_map

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from codex_audit.capabilities.catalog import Catalog
    from codex_audit.capabilities.model import Signal
    from codex_audit.tree.cache import Cache
    from codex_audit.tree.files import Tree


# Who asked, when and where is not the audit's own: whoever publishes it replaces this.
NOWHERE = Provenance(
    commit=None, dirty=None, tree_digest="", tools={}, python="", platform="", device="",
    started="", seconds=0.0, command="",
)  # fmt: skip


def static_audit(
    tree: Tree, settings: Settings, home: Path, cache: Cache | None
) -> tuple[Scan, bool]:
    """Audit `tree`, whose settings are in `home`.

    Returns:
        The scan, without provenance, and whether the same files would give it again: what could
        not be read, or a rule that could not be asked, may be the moment's own.

    Raises:
        SettingsError: settings declare a kind, or something not applicable, that the catalog does
            not have.
        CatalogError: rules that settings or installed packages add cannot be used.
    """
    catalog = full_catalog(home, settings.catalog)
    _check_declared(catalog, settings, home)
    declared = [declaration(settings.kind)] if settings.kind else []
    probes = _probes(catalog, declared)
    with kept_needs(cache if catalog is load_catalog() else None, catalog.version):
        files = survey(tree, probes, cache)
    findings = Findings(probes, files, named_in_readme(tree))
    snippet = _Snippets(tree)
    verdicts = evaluate(
        catalog,
        findings,
        files,
        root=tree.root,
        snippet=snippet,
        not_applicable=settings.not_applicable,
        present=_configured(settings),
        kind=settings.kind,
    )
    mapped = repo_map(tree, files)
    passing = (file.broken or (file.problem and file.problem.passing) for file in files)
    made = Scan(
        project=shown_path(settings.project or tree.root.name or str(tree.root)),
        catalog_version=catalog.version,
        trains=verdicts.trains,
        kind=verdicts.kind,
        repo_map=mapped,
        capabilities=verdicts.capabilities,
        reproducibility=checklist(
            findings, files, verdicts.capabilities, trains=verdicts.trains, snippet=snippet
        ),
        errors=(*_listing_errors(tree), *_unparsed_error(mapped, tree), *verdicts.errors),
        provenance=NOWHERE,
    )
    lasting = snippet.complete and not verdicts.errors and not any(passing)
    return made, lasting


class _Snippets:
    """The text of lines; `complete` unless a file was gone by then."""

    def __init__(self, tree: Tree) -> None:
        self.complete = True
        self._tree = tree
        self._lines = lru_cache(maxsize=64)(self._read)

    def __call__(self, path: str, line: int) -> str:
        """The text of a line, shortened."""
        text = self._lines(path)
        return snippet_of(text[line - 1]) if 0 < line <= len(text) else ""

    def _read(self, path: str) -> list[str]:
        try:
            return text_lines(text_of(path, self._tree.read(path)))
        except OSError:
            self.complete = False
            return []  # gone since it was read: its line is known, its text is not


def _listing_errors(tree: Tree) -> list[CapturedError]:
    """What could not be listed: a repository that git cannot read, directories without access."""
    found = []
    if tree.git_problem:
        found.append(
            (
                tree.git_problem,
                "the files were found without git, obeying `.gitignore` files only",
                "make `git status` work in this directory",
            )
        )
    if tree.unreadable:
        shown = ", ".join(tree.unreadable[:5])
        count = len(tree.unreadable)
        found.append(
            (
                f"{count} director{'ies' if count > 1 else 'y'} could not be read: {shown}",
                "this user may not list them, or they are gone",
                "give this user read access, or exclude them in the settings",
            )
        )
    return [
        CapturedError(
            phase=2,
            step="repository_mapping",
            message=shown_text(collapse(message)),
            context="listing the files of the tree; what was found was audited",
            diagnosis=diagnosis,
            remedy=remedy,
            at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        )
        for message, diagnosis, remedy in found
    ]


def _unparsed_error(mapped: RepoMap, tree: Tree) -> list[CapturedError]:
    """One captured error for all files that could not be read or parsed, naming them."""
    if not mapped.unparsed:
        return []
    shown = ", ".join(f"{file.path}:{file.line} ({file.reason})" for file in mapped.unparsed[:5])
    more = f" and {len(mapped.unparsed) - 5} more" if len(mapped.unparsed) > 5 else ""  # noqa: PLR2004
    count = len(mapped.unparsed)
    message = f"{count} file{'s' if count > 1 else ''} could not be read or parsed: {shown}{more}"
    return [
        capture(
            Failure("SyntaxError", message),
            phase=2,
            step="repository_mapping",
            context=f"reading {mapped.files} files; the rest of them was audited",
            root=tree.root,
        )
    ]


def _configured(settings: Settings) -> tuple[str, ...]:
    """The subjects that settings say are there: what stands trial exists."""
    trainer = ("training", "model") if settings.trainer.factory else ()
    return (*trainer, *(("tokenizer",) if _names_tokenizer(settings) else ()))


def _names_tokenizer(settings: Settings) -> bool:
    return bool(settings.tokenizer.path or settings.tokenizer.factory)


def _probes(catalog: Catalog, declared: Sequence[Signal]) -> Probes:
    """What is asked of each file; made once for the shipped catalog alone."""
    if catalog is load_catalog() and not declared:
        return _shipped_probes()
    return Probes([*catalog.signals(), *declared, *deep(checklist_signals())])


@once
def _shipped_probes() -> Probes:
    return Probes([*load_catalog().signals(), *deep(checklist_signals())])


def _check_declared(catalog: Catalog, settings: Settings, root: Path) -> None:
    _check_kind(catalog, settings, root)
    for key in settings.not_applicable:
        capability, _, criterion = key.partition(".")
        rule = catalog.capabilities.get(capability)
        if rule is None or (criterion and criterion not in rule.criteria):
            raise SettingsError(
                f"{root / 'pyproject.toml'}: [tool.codex-audit] not-applicable.{key!r}: no such "
                "capability or criterion; `codex-audit explain` lists them"
            )


def _check_kind(catalog: Catalog, settings: Settings, root: Path) -> None:
    if settings.kind is None:
        return
    place = f"{root / 'pyproject.toml'}: [tool.codex-audit] kind: {settings.kind!r}"
    rule = catalog.kinds.get(settings.kind)
    if rule is None:
        near = difflib.get_close_matches(settings.kind, catalog.kinds, n=1)
        known = f"known kinds: {', '.join(catalog.kinds)}"
        raise SettingsError(
            f"{place} is no kind; " + (f"did you mean {near[0]!r}? {known}" if near else known)
        )
    for key, subjects in (
        ("trainer.factory", ("training", "model") if settings.trainer.factory else ()),
        (
            "tokenizer.path" if settings.tokenizer.path else "tokenizer.factory",
            ("tokenizer",) if _names_tokenizer(settings) else (),
        ),
    ):
        for subject in subjects:
            if subject in rule.without:
                raise SettingsError(
                    f"{place} is a kind without {subject}, but {key} is set; leave one of them out"
                )
