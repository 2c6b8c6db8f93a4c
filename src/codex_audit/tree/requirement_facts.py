"""What a repository requires: distribution, specifier and group, from every usual place."""

from __future__ import annotations

import ast
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from codex_audit.tree.facts import Fact
from codex_audit.tree.reading import text_lines

if TYPE_CHECKING:
    from collections.abc import Iterable

_LINE = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*\(?([^;#)@]*)")

# A string of setup.py that is a requirement, not an option or a marker of Python's own version.
_SETUP_ITEM = re.compile(r"(?!python)[A-Za-z][\w.-]*(\[.*\])?\s*([<>=!~].*)?$")


def requirement(text: str, line: int, group: str) -> Fact | None:
    """The fact of one requirement line; none for options, paths and addresses."""
    found = _LINE.match(text)
    if (
        found is None
        or text.lstrip().startswith(("-", ".", "/"))
        or "://" in text.partition("@")[0]
    ):
        return None
    name = re.sub(r"[-_.]+", "-", found.group(1)).lower()
    return Fact("requirement", name, line, found.group(2).strip(), tags=(group,))


def requirement_facts(path: str, source: bytes, config: Iterable[Fact]) -> list[Fact]:
    """The requirements that a file states; `config` are its configuration facts, if it has any."""
    name = PurePosixPath(path).name
    found: list[Fact | None] = []
    if name.endswith((".txt", ".in")) and "require" in path.lower():
        group = (
            "runtime"
            if name in {"requirements.txt", "requirements.in"}
            else f"extra:{name.split('.')[0]}"
        )
        text = source.decode("utf-8", "replace")
        found += [
            requirement(line, number, group)
            for number, line in enumerate(text_lines(text), 1)
            if line.strip() and not line.startswith((" ", "#"))
        ]
    elif name == "pyproject.toml":
        found += [_from_pyproject(fact) for fact in config]
    elif name == "setup.cfg":
        for fact in config:
            if fact.name == "options.install_requires" and fact.value:
                found.append(requirement(fact.value, fact.line, "runtime"))
            elif fact.name.startswith("options.extras_require.") and fact.value:
                found.append(
                    requirement(fact.value, fact.line, f"extra:{fact.name.rpartition('.')[2]}")
                )
    elif name in {"environment.yml", "environment.yaml", "conda.yml", "conda.yaml"}:
        for fact in config:
            if fact.name in {"dependencies", "dependencies.pip"} and fact.value:
                found.append(requirement(_from_conda(fact.value), fact.line, "runtime"))
    elif name == "setup.py":
        found += _from_setup(source)
    return [fact for fact in found if fact is not None]


def _from_conda(text: str) -> str:
    """A conda requirement in pip's words: `channel::pytorch=2.3=build` is `torch==2.3`."""
    text = re.sub(r"^([\w.-]+)\s*=(?!=)([^=]+)(=.*)?$", r"\1==\2", text.rpartition("::")[2])
    return re.sub(r"^pytorch(?![\w-])", "torch", text)


def _from_pyproject(fact: Fact) -> Fact | None:
    if "table" in fact.tags:
        return None
    if fact.name == "project.dependencies":
        return requirement(fact.value, fact.line, "runtime")
    for prefix in ("project.optional-dependencies.", "dependency-groups."):
        if fact.name.startswith(prefix):
            return requirement(fact.value, fact.line, f"extra:{fact.name.removeprefix(prefix)}")
    poetry = re.match(
        r"tool\.poetry\.(group\.(\w+)\.)?dependencies\.([\w-]+)(\.version)?$", fact.name
    )
    if poetry and poetry.group(3) != "python":
        text = re.sub(r"^[\^~]", ">=", fact.value)
        group = f"extra:{poetry.group(2)}" if poetry.group(2) else "runtime"
        return requirement(f"{poetry.group(3)} {'' if text == '*' else text}", fact.line, group)
    return None


def _from_setup(source: bytes) -> list[Fact | None]:
    """String constants of lists named like requirements, in the call or assigned before it."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []  # the Python facts of this file already name the problem
    found: list[Fact | None] = []
    for node in ast.walk(tree):
        value, name = None, ""
        if isinstance(node, ast.keyword):
            name, value = node.arg or "", node.value
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name, value = node.targets[0].id, node.value
        if (
            not re.search(r"requires|requirements|dependencies|extras|^_deps$", name.lower())
            or value is None
        ):
            continue
        group = "extra:extras" if "extra" in name.lower() else "runtime"
        found += [
            requirement(item.value, item.lineno, group)
            for item in ast.walk(value)
            if isinstance(item, ast.Constant)
            and isinstance(item.value, str)
            and _SETUP_ITEM.match(item.value)
        ]
    return found


def lower_bound(specifier: str) -> tuple[int, ...] | None:
    """The lowest version that a specifier allows, as numbers; none where it names none."""
    bounds = re.findall(r"(>=|==|~=|>)\s*v?(\d+(?:\.\d+)*)", specifier)
    return max((tuple(int(n) for n in version.split(".")) for _, version in bounds), default=None)
