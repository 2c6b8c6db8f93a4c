"""The annotated trees of a criterion: one that meets it, and one that nearly does."""

from __future__ import annotations

from pathlib import Path

import msgspec

# Shipped inside of the package; in a checkout, the tests' own fixtures.
PLACES = (
    Path(__file__).parent / "examples",
    Path(__file__).parents[3] / "tests" / "fixtures" / "criteria",
)


class Example(msgspec.Struct, frozen=True):
    """A small tree: path -> text of each of its files, in order."""

    files: dict[str, str]


def example(capability: str, criterion: str, kind: str) -> Example | None:
    """The tree of a criterion that `meets` it or `nearly` does; none for an added criterion."""
    for place in PLACES:
        tree = place / capability / criterion / kind
        if tree.is_dir():
            # An installer compiles every module it installs, those of the examples too.
            paths = sorted(
                path
                for path in tree.rglob("*")
                if path.is_file() and "__pycache__" not in path.parts
            )
            return Example(
                {
                    path.relative_to(tree).as_posix(): path.read_text(encoding="utf-8")
                    for path in paths
                }
            )
    return None
