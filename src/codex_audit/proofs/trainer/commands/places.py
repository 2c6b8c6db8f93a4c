"""Lines of the script that a command runs, and of what it imports, that a proof is about."""

from __future__ import annotations

import ast
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from codex_audit.outcome import Evidence

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from codex_audit.proofs.trainer.commands.plan import Plan

_FILES = 100
# What can be nothing else, looked for in the script and then in what it imports; and what may be
# it, looked for in the script alone.
_SURE = {
    "train": r"\.backward\(",
    "save": r"torch\.save\(|\bsave_(checkpoint|state|pretrained|file)\(",
    "load": r"\bload_(state_dict|checkpoint|state)\(|torch\.load\(",
    "factory": r"manual_seed\(|seed_everything\(|set_seed\(",
}
_LIKELY = {"save": r"\bsave\w*\(", "load": r"\bload\w*\(", "factory": r"seed"}


def places(plan: Plan, root: Path) -> Mapping[str, Evidence]:
    """The first such lines, by what they are about; the script's first where there are none."""
    script = _script(plan, root)
    if script is None:
        return {}
    texts = {path: _lines(path) for path in _with_imports(script, root)}
    own = {script: texts[script]}
    first = Evidence(_name(script, root), 1, (texts[script] or [""])[0].strip())
    return {
        name: _found(texts, pattern, root) or _found(own, _LIKELY.get(name), root) or first
        for name, pattern in _SURE.items()
    }


def _found(texts: Mapping[Path, list[str]], pattern: str | None, root: Path) -> Evidence | None:
    if pattern is None:
        return None
    for path, lines in texts.items():
        for number, line in enumerate(lines, 1):
            if re.search(pattern, line.partition("#")[0]):
                return Evidence(_name(path, root), number, line.strip())
    return None


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines()


def _script(plan: Plan, root: Path) -> Path | None:
    words = plan.command.words
    names = [word for word in words if word.endswith(".py")]
    if "-m" in words[:-1]:
        module = words[words.index("-m") + 1].replace(".", "/")
        names += [f"{module}.py", f"{module}/__main__.py", f"src/{module}.py"]
    for name in names:
        path = (Path(plan.cwd) / name).resolve()
        if path.is_file() and path.is_relative_to(root):
            return path
    return None


def _with_imports(script: Path, root: Path) -> list[Path]:
    """A script, and the files of the repository that it imports, the nearest first."""
    found = [script]
    for path in found:
        for name in _imported(path):
            homes = (path.parent, script.parent, root, root / "src")
            tried = (home / end for home in homes for end in (f"{name}.py", f"{name}/__init__.py"))
            file = next((each.resolve() for each in tried if each.is_file()), None)
            if file is None or file in found or not file.is_relative_to(root):
                continue
            if len(found) < _FILES:
                found.append(file)
    return found


def _imported(path: Path) -> Iterator[str]:
    """Modules that a file imports, as paths; also names that may be modules."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an escape in one of its texts is not ours to tell
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):  # its lines can be cited all the same
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.replace(".", "/") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = "../" * (node.level - 1)
            module = [node.module.replace(".", "/")] if node.module else []
            yield from (above + home for home in module)
            yield from (above + "/".join([*module, alias.name]) for alias in node.names)
