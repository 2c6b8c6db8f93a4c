"""The catalog with what was added to it: by files that settings name, by installed packages.

An added file is data. Nothing is imported to find it, also not the package that holds it.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from codex_audit.capabilities.catalog import Catalog, CatalogError, load_catalog
from codex_audit.capabilities.model import CapabilityRule
from codex_audit.capabilities.rule_file import RuleFile, read_rule_file, wrong
from codex_audit.scan_key import GROUP, rule_packages
from codex_audit.tree.reading import read_regular

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from importlib.machinery import ModuleSpec
    from importlib.metadata import EntryPoint


def full_catalog(root: Path, named: Sequence[str]) -> Catalog:
    """The shipped catalog, what installed packages add to it, and the files `named` in settings.

    Added capabilities come after the shipped ones, by their ids.

    Args:
        root: the repository whose settings name the files.
        named: TOML files, or directories of such, relative to `root`.

    Raises:
        CatalogError: a file is absent, outside of `root` or not of the catalog's form, or its
            rules do not fit the others.
    """
    texts = [*_installed(), *_named(root, named)]
    if not texts:
        return load_catalog()
    return _extended(load_catalog(), [read_rule_file(*each) for each in texts], texts)


def _extended(
    catalog: Catalog, files: Sequence[RuleFile], texts: Sequence[tuple[str, str]]
) -> Catalog:
    capabilities = dict(catalog.capabilities)
    declared: dict[str, RuleFile] = {}
    for file in sorted((file for file in files if file.title), key=lambda file: file.id):
        if file.id in capabilities:
            there = declared[file.id].source if file.id in declared else "codex-audit itself"
            raise file.wrong(
                "id",
                f"{there} has a capability {file.id!r}",
                "leave out `title` and `why` to add criteria to it, or choose another id",
            )
        declared[file.id] = file
        capabilities[file.id] = CapabilityRule(
            id=file.id, title=file.title, why=file.why, criteria={},
            subject=file.subject, stubs=file.stubs, entrances_first=file.entrances_first,
        )  # fmt: skip
    added: dict[str, str] = {}
    for file in files:
        capabilities[file.id] = _with_criteria(capabilities, file, added)
    whole = Catalog(
        version=f"{catalog.version}.user-{_digest(texts)}",
        capabilities=capabilities,
        subjects=catalog.subjects,
        frameworks=catalog.frameworks,
        kinds=catalog.kinds,
        mentions=catalog.mentions,
        added=added,
        experimental=catalog.experimental,
    )
    for file in files:
        _check_references(whole, file)
    _check_circles(files)
    return whole


def _with_criteria(
    capabilities: dict[str, CapabilityRule], file: RuleFile, added: dict[str, str]
) -> CapabilityRule:
    rule = capabilities.get(file.id)
    if rule is None:
        raise file.wrong(
            "title",
            f"missing key, and no capability {file.id!r} is there to add criteria to",
            "give the new capability a title, or correct `id`",
        )
    for key in ("subject", "stubs", "entrances_first"):
        if not file.title and getattr(file, key):
            raise file.wrong(
                key,
                f"the capability {file.id!r} has its own",
                f"leave it out{', or set it on each criterion' if key == 'subject' else ''}",
            )
    for name in file.criteria:
        if name in rule.criteria:
            there = added.get(f"{file.id}.{name}", "codex-audit itself")
            raise file.wrong(
                f"criteria.{name}",
                f"{there} has a criterion of that id in {file.id}",
                "choose another id",
            )
        added[f"{file.id}.{name}"] = file.source
    return msgspec.structs.replace(rule, criteria={**rule.criteria, **file.criteria})


def _check_references(catalog: Catalog, file: RuleFile) -> None:
    subjects = ", ".join(catalog.subjects)
    for key, subject in (
        ("subject", file.subject),
        *((f"criteria.{name}.subject", rule.subject) for name, rule in file.criteria.items()),
    ):
        if subject and subject not in catalog.subjects:
            raise file.wrong(
                key, f"no subject {subject!r}", f"there are {subjects}, or leave it out"
            )
    for key, signal in file.signals():
        if signal.criterion is not None and not _exists(catalog, signal.criterion):
            raise file.wrong(
                f"{key}.criterion",
                f"no criterion {signal.criterion!r}",
                "write capability.criterion; `codex-audit explain` lists them",
            )


def _exists(catalog: Catalog, key: str) -> bool:
    capability, _, criterion = key.partition(".")
    rule = catalog.capabilities.get(capability)
    return rule is not None and criterion in rule.criteria


def _check_circles(files: Sequence[RuleFile]) -> None:
    """Refuse criteria that are answered by each other; shipped ones refer to none that is added."""
    source = {key: file for file in files for key in _keys(file)}
    asks: dict[str, list[str]] = {key: [] for key in source}
    for file in files:
        for key, signal in file.signals():
            if signal.criterion in asks:
                asks[f"{file.id}.{key.split('.')[1]}"].append(signal.criterion)
    done: set[str] = set()

    def follow(key: str, path: tuple[str, ...]) -> None:
        if key in path:
            circle = " -> ".join([*path[path.index(key) :], key])
            name = key.partition(".")[2]
            raise source[key].wrong(
                f"criteria.{name}", f"criteria refer to each other: {circle}", "break the circle"
            )
        if key not in done:
            for other in asks[key]:
                follow(other, (*path, key))
            done.add(key)

    for key in asks:
        follow(key, ())


def _keys(file: RuleFile) -> list[str]:
    return [f"{file.id}.{name}" for name in file.criteria]


def _digest(texts: Sequence[tuple[str, str]]) -> str:
    """What changes with the rules, wherever the files lie: their texts, in any order."""
    whole = "\0".join(sorted(text for _, text in texts))
    return hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def _named(root: Path, named: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Path in the repository and text of each file that settings name, each once."""
    seen: set[Path] = set()
    for name in named:
        for path in _files_of(root, name):
            if path not in seen:
                seen.add(path)
                yield _shown(root, path), _text(_shown(root, path), path)


def _files_of(root: Path, name: str) -> list[Path]:
    key = "[tool.codex-audit] catalog"
    settings = str(root / "pyproject.toml")
    home = Path(os.path.realpath(root))
    place = Path(os.path.realpath(home / name))
    if Path(name).is_absolute() or not place.is_relative_to(home):
        raise wrong(
            settings, key, f"{name!r} leads out of the repository", "name a path inside of it"
        )
    if place.is_dir():
        found = sorted(place.glob("*.toml"))
        if not found:
            raise wrong(settings, key, f"{name!r} holds no .toml file", "add one, or leave it out")
        return [_inside(path, home, settings) for path in found]
    if not place.exists():
        raise wrong(settings, key, f"{name!r} does not exist", "correct the path, or leave it out")
    return [place]


def _inside(path: Path, home: Path, settings: str) -> Path:
    """What a file of a directory is, links followed."""
    real = Path(os.path.realpath(path))
    if not real.is_relative_to(home):
        raise wrong(
            settings,
            "[tool.codex-audit] catalog",
            f"{path.relative_to(home)} leads out of the repository",
            "put the file itself there",
        )
    return real


def _shown(root: Path, path: Path) -> str:
    return path.relative_to(os.path.realpath(root)).as_posix()


def _text(source: str, path: Path) -> str:
    try:
        return read_regular(path).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogError(f"{source}: cannot be read ({error}); make it UTF-8 TOML") from error


def _installed() -> Iterator[tuple[str, str]]:
    """Name and text of each file in the packages that entry points name."""
    for entry in rule_packages():
        folder = _folder(entry)
        found = sorted(folder.glob("*.toml"))
        if not found:
            raise _broken(entry, "it holds no .toml file")
        for path in found:
            source = f"{entry.value}/{path.name}"
            yield source, _text(source, path)


def _folder(entry: EntryPoint) -> Path:
    """The directory of the package that an entry point names, found without importing it.

    What is installed may be what is audited, and that is never run.
    """
    path: Sequence[str] | None = None
    spec: ModuleSpec | None = None
    name = ""
    for part in entry.value.split("."):
        name = f"{name}.{part}".strip(".")
        try:
            spec = _spec(name, path)
            path = list(spec.submodule_search_locations or ()) if spec else None
        except KeyError:  # a namespace in a namespace is found by importing the outer one only
            raise _broken(entry, f"{name} has no __init__.py") from None
        if not path:
            raise _broken(entry, f"no package {name} is installed")
    return Path(path[0]) if path else Path()


def _spec(name: str, path: Sequence[str] | None) -> ModuleSpec | None:
    for finder in sys.meta_path:
        found = finder.find_spec(name, path)
        if found is not None:
            return found
    return None


def _broken(entry: EntryPoint, what: str) -> CatalogError:
    return wrong(
        f"entry point {entry.name} = {entry.value}",
        GROUP,
        what,
        "mend or uninstall the package that declares it",
    )
