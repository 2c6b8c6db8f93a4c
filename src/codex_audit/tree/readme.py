"""Which files a repository's README names: those that its reader is sent to."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from codex_audit.tree.files import Tree

# From the beginning of a word only: a picture may lie in a page as one word of a megabyte.
_FILE = re.compile(rb"(?<![\w.+-])[\w+-][\w.+-]*\.(?:py|sh|ipynb|ya?ml|toml|json)\b")


def named_in_readme(tree: Tree) -> Counter[str]:
    """How often the README of the root names a file, by the file's name without its folder."""
    named: Counter[str] = Counter()
    for file in tree.files:
        if "/" not in file.path and file.path.lower().startswith("readme"):
            with suppress(OSError):  # the survey says that it cannot be read
                named.update(one.decode() for one in _FILE.findall(tree.read(file.path)))
    return named
