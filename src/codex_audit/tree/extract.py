"""One file in, its facts out: chooses the reader by the file's name."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import msgspec

from codex_audit.tree.config_facts import (
    CONFIG_LIMIT,
    ini_facts,
    json_facts,
    jsonnet_facts,
    toml_facts,
    yaml_facts,
)
from codex_audit.tree.docker_facts import apptainer_facts, docker_facts
from codex_audit.tree.facts import Fact, FileFacts, Problem
from codex_audit.tree.gin_facts import gin_facts
from codex_audit.tree.notebook_facts import notebook_facts
from codex_audit.tree.python_facts import python_facts
from codex_audit.tree.reading import plain_utf8
from codex_audit.tree.requirement_facts import requirement_facts
from codex_audit.tree.text_facts import makefile_facts, markdown_facts, rst_facts, shell_facts

if TYPE_CHECKING:
    from codex_audit.tree.facts import Interest

Reader = Callable[[bytes], tuple[list[Fact], Problem | None]]
_CONFIG: dict[str, Reader] = {
    ".yaml": yaml_facts, ".yml": yaml_facts, ".toml": toml_facts, ".json": json_facts,
    ".jsonnet": jsonnet_facts, ".gin": gin_facts,
    ".ini": ini_facts, ".cfg": ini_facts,
}  # fmt: skip
_INI_NAMES = frozenset({".coveragerc", ".flake8", ".pylintrc", "mypy.ini"})
_DOCKER = re.compile(r"(?i)^(dockerfile|containerfile)([._-].*)?$|.*\.(dockerfile|containerfile)$")
_MAKE = frozenset({"makefile", "gnumakefile", "justfile", ".justfile", "taskfile"})


def extract(path: str, role: str, source: bytes, interest: Interest) -> FileFacts:
    """The facts of one file, by its name; a `file` fact for every one.

    A file below a directory such as `{{ cookiecutter.name }}` is a template: that it does not
    parse before it is filled in is no problem.
    """
    found = _extract(path, role, source, interest)
    return msgspec.structs.replace(found, problem=None) if "{{" in path else found


def _extract(path: str, role: str, source: bytes, interest: Interest) -> FileFacts:
    name = PurePosixPath(path).name
    suffix = PurePosixPath(path).suffix.lower()
    here = Fact("file", path, 1)
    if suffix in {".py", ".pyi"}:
        found = python_facts(path, role, source, interest)
        return _with(found, here, requirement_facts(path, source, ()))
    if suffix == ".ipynb":
        return _with(notebook_facts(path, role, source, interest), here, [])
    source = plain_utf8(source)
    if b"\0" in source[:8192]:
        return FileFacts(path, role, 0, (here,))
    facts, unparsed = _text_facts(name, suffix, source)
    facts += requirement_facts(path, source, facts)
    kept = tuple(
        fact
        for fact in (here, *facts)
        if fact.kind == "requirement" or interest.wants(fact.kind, fact.name)
    )
    lines = source.count(b"\n") + (not source.endswith(b"\n") and bool(source))
    return FileFacts(path, role, lines, kept, problem=unparsed)


def _text_facts(name: str, suffix: str, source: bytes) -> tuple[list[Fact], Problem | None]:
    if _DOCKER.match(name):
        return docker_facts(source), None
    if suffix in {".def", ".sif.def"} and b"bootstrap:" in source[:2000].lower():
        return apptainer_facts(source), None
    if suffix in _CONFIG or name in _INI_NAMES:
        reader: Reader = ini_facts if name in _INI_NAMES else _CONFIG[suffix]
        if len(source) > CONFIG_LIMIT or (suffix == ".cfg" and b"=" not in source):
            return [], None
        return reader(source)
    text = source.decode("utf-8", "replace") if len(source) <= 4 * CONFIG_LIMIT else ""
    if suffix in {".md", ".markdown", ".mdx", ".qmd"}:
        return markdown_facts(text), None
    if suffix == ".rst":
        return rst_facts(text), None
    if name.lower() in _MAKE or suffix == ".mk":
        return makefile_facts(text, just="just" in name.lower()), None
    if suffix in {".sh", ".bash", ".zsh", ".slurm", ".sbatch", ".sub", ".env"} or source[
        :64
    ].startswith((b"#!/bin/bash", b"#!/bin/sh", b"#!/usr/bin/env bash", b"#!/usr/bin/env sh")):
        return shell_facts(text), None
    if name.upper().startswith("README") and suffix in {"", ".txt"}:
        return markdown_facts(text), None
    return [], None


def _with(found: FileFacts, here: Fact, extra: list[Fact]) -> FileFacts:
    return FileFacts(
        found.path, found.role, found.lines, (here, *found.facts, *extra), found.code_lines,
        found.stubs, found.markers, found.problem, found.outline,
    )  # fmt: skip
