"""The repository map: what the tree is made of, and where it says that it is unfinished."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from codex_audit.outcome import Evidence
from codex_audit.records import FileSize, Language, RepoMap, Unparsed
from codex_audit.tree.reading import shown_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from codex_audit.tree.facts import Found
    from codex_audit.tree.files import Tree

LANGUAGES = {
    ".py": "Python", ".pyi": "Python stubs", ".ipynb": "Jupyter",
    ".md": "Markdown", ".rst": "reStructuredText",
    ".yaml": "YAML", ".yml": "YAML", ".toml": "TOML", ".json": "JSON", ".cfg": "INI", ".ini": "INI",
    ".sh": "Shell", ".bash": "Shell", ".c": "C", ".h": "C", ".cc": "C++", ".cpp": "C++",
    ".hpp": "C++",
    ".cu": "CUDA", ".cuh": "CUDA", ".js": "JavaScript", ".ts": "TypeScript", ".html": "HTML",
    ".css": "CSS",
    ".rs": "Rust", ".go": "Go", ".java": "Java", ".jinja": "Jinja", ".j2": "Jinja", ".txt": "Text",
}  # fmt: skip
_LARGEST = 5


def repo_map(tree: Tree, files: Sequence[Found]) -> RepoMap:
    """The map of `tree`, from what was found in its files."""
    by_language: dict[str, list[int]] = {}
    for file in files:
        name = PurePosixPath(file.path).name
        language = (
            "Dockerfile"
            if name.startswith("Dockerfile")
            else LANGUAGES.get(PurePosixPath(name).suffix.lower())
        )
        if language:
            counts = by_language.setdefault(language, [0, 0])
            counts[0] += 1
            counts[1] += file.lines
    python = [file for file in files if file.path.endswith(".py")]
    loc = sum(file.lines for file in python)
    stubs = tuple(
        Evidence(file.path, stub.line, stub.text) for file in python for stub in file.stubs
    )
    markers = tuple(
        Evidence(file.path, marker.line, marker.text) for file in python for marker in file.markers
    )
    sizes = {file.path: file.size for file in tree.files}
    largest = sorted(files, key=lambda file: (-file.lines, file.path))[:_LARGEST]
    return RepoMap(
        root=shown_path(str(tree.root)),
        listed_by=tree.listed_by,
        files=len(tree.files),
        python_files=len(python),
        python_loc=loc,
        notebook_loc=sum(file.code_lines for file in files),
        languages=tuple(
            Language(name, count, lines)
            for name, (count, lines) in sorted(
                by_language.items(), key=lambda item: (-item[1][1], item[0])
            )
        ),
        largest=tuple(FileSize(file.path, file.lines, sizes[file.path]) for file in largest),
        stubs=stubs,
        markers=markers,
        stub_density=round(1000 * (len(stubs) + len(markers)) / loc, 2) if loc else 0.0,
        left_out=tree.left_out,
        unparsed=tuple(
            Unparsed(file.path, file.problem.line, file.problem.reason)
            for file in files
            if file.problem is not None
        ),
    )
