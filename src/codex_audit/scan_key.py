"""By what a whole audit is known again: the files, the rules, the settings, and who reads."""

from __future__ import annotations

import hashlib
import sys
from functools import cache as once
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from codex_audit.settings import Settings
    from codex_audit.tree.files import Tree

# The group in which installed packages add rules.
GROUP = "codex_audit.catalog"
# What of this package an audit is made by; the gates, the proofs and the report are not.
_PARTS = (".", "tree", "capabilities", "causes")


def rule_packages() -> tuple[EntryPoint, ...]:
    """The entry points of installed packages that add rules, in the order of their names.

    All that is installed has to be asked for them: they are read once for an import path.
    """
    return _rule_packages(tuple(sys.path))


@once
def _rule_packages(_path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    return tuple(sorted(entry_points(group=GROUP), key=lambda each: (each.name, each.value)))


def scan_key(tree: Tree, settings: Settings) -> bytes | None:
    """The key of the audit of `tree` under `settings`; None where it is better made anew.

    That is where rules come from files of others, or where not all of the tree could be listed.
    """
    if settings.catalog or tree.git_problem or tree.unreadable or rule_packages():
        return None
    digest = hashlib.blake2b(b"scan\0", key=_program(), digest_size=24)
    digest.update(str(tree.root).encode("utf-8", "surrogateescape"))
    digest.update(msgspec.msgpack.encode(settings))
    for file in tree.files:
        line = f"{file.path}\0{file.role}\0{file.size}\0{tree.blob(file.path)}\n"
        digest.update(line.encode("utf-8", "surrogateescape"))
    return b"scan\0" + digest.digest()


@once
def _program() -> bytes:
    home = Path(__file__).parent
    digest = hashlib.sha256(sys.version.encode())
    for part in _PARTS:
        found = (home / part).glob("*" if part == "." else "**/*")
        for source in sorted(found):
            if source.suffix in {".py", ".toml", ".json"}:
                name = source.relative_to(home).as_posix()
                digest.update(f"{name}\0".encode() + source.read_bytes())
    return digest.digest()
