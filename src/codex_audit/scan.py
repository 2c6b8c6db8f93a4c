"""The static audit: a tree in, a `Scan` out. Nothing of the tree is imported, run or written.

An audit of the same files by the same rules and settings is not made again but read from the
user's cache. What makes one is therefore imported only where it is needed.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from codex_audit.collection import no_collection
from codex_audit.provenance import provenance
from codex_audit.scan_key import scan_key
from codex_audit.tree.cache import user_cache
from codex_audit.tree.files import list_tree

if TYPE_CHECKING:
    from pathlib import Path

    from codex_audit.records import Scan
    from codex_audit.settings import Settings


def scan(
    root: Path,
    settings: Settings,
    command: str = "codex-audit scan",
    home: Path | None = None,
    *,
    cached: bool = True,
) -> Scan:
    """Audit the tree at `root` without running any of it.

    Args:
        root: the directory to audit; all paths are relative to it.
        settings: its settings.
        command: what asked for it, for the provenance.
        home: the directory whose `pyproject.toml` holds the settings; `root` by default.
        cached: whether what was found in files before is not sought again.

    Raises:
        SettingsError: settings declare a kind, or something not applicable, that the catalog does
            not have.
        CatalogError: rules that settings or installed packages add cannot be used.
        NotADirectoryError: `root` is no directory.
    """
    if not root.is_dir():
        what = "not a directory" if root.exists() else "no such directory"
        raise NotADirectoryError(f"{root}: {what}; give the directory of a repository")
    started, clock = datetime.now(UTC), time.monotonic()
    cache = user_cache(root.resolve()) if cached else None
    known = cache.contents(root.resolve()) if cache else {}
    tree = list_tree(root, settings.exclude, known)
    key = scan_key(tree, settings) if cache else None
    found = cache.scan(key) if cache and key else None
    if found is None:
        with no_collection():
            from codex_audit.static_audit import static_audit  # noqa: PLC0415 - see above

            found, lasting = static_audit(tree, settings, home or root, cache)
        if cache and key and lasting:
            cache.keep_scan(key, found)
    else:
        at = started.strftime("%Y-%m-%dT%H:%M:%SZ")
        errors = tuple(msgspec.structs.replace(error, at=at) for error in found.errors)
        found = msgspec.structs.replace(found, errors=errors)
    if cache and tree.contents != known:
        cache.keep_contents(tree.root, tree.contents)
    made = provenance(
        tree=tree,
        tools={},
        device="cpu",
        started=started,
        seconds=time.monotonic() - clock,
        command=command,
    )
    return msgspec.structs.replace(found, provenance=made)
