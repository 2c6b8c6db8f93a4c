"""Facts of a Dockerfile, Containerfile or Apptainer definition: its instructions, by stage."""

from __future__ import annotations

import re

from codex_audit.tree.facts import Fact, collapse
from codex_audit.tree.reading import text_lines

_HERE = re.compile(r"<<-?[\"']?([A-Za-z_]\w*)[\"']?")
_TAG = re.compile(r":([^:/@]+)$")
# Debian and Ubuntu give each release a name beside its number: where the image is the system's.
_RELEASE = re.compile(
    r"(^|/)(debian|ubuntu|buildpack-deps):"
    r"(trusty|xenial|bionic|focal|jammy|noble|jessie|stretch|buster|bullseye|bookworm|trixie)(-|$)"
)


def docker_facts(source: bytes) -> list[Fact]:
    """Instructions in lower case, with `final` on those of the last stage.

    `from` also has `external` (neither an earlier stage nor `scratch`) and `pinned` (a digest,
    or a tag that names a version) or `unpinned`; `ARG` defaults are filled in.
    """
    instructions = _instructions(source.decode("utf-8", "replace"))
    last = max((i for i, (_, name, _) in enumerate(instructions) if name == "from"), default=0)
    stages: set[str] = set()
    arguments: dict[str, str] = {}
    facts = []
    for index, (line, name, value) in enumerate(instructions):
        tags = ["final"] if index >= last else []
        if name == "arg":
            key, _, default = value.partition("=")
            arguments[key.strip()] = default.strip().strip("\"'")
        if name == "from":
            image, alias = _image(value, arguments)
            if image not in stages and image != "scratch":
                tags += ["external", _pin(image)]
            if alias:
                stages.add(alias)
        facts.append(Fact("docker", name, line, collapse(value), tags=tuple(tags)))
    return facts


def apptainer_facts(source: bytes) -> list[Fact]:
    """The header of an Apptainer definition, as a Dockerfile would say it."""
    facts = []
    for number, line in enumerate(text_lines(source.decode("utf-8", "replace")), 1):
        if found := re.match(r"(?i)from:\s*(\S+)", line):
            image = found.group(1)
            tags = ("final", "external", _pin(image))
            facts.append(Fact("docker", "from", number, image, tags=tags))
        elif found := re.match(r"%(\w+)", line):
            facts.append(
                Fact("docker", found.group(1).lower(), number, line.strip(), tags=("final",))
            )
    return facts


def _pin(image: str) -> str:
    """`pinned` by a digest or by a tag that names a version, `unpinned` otherwise."""
    tag = _TAG.search(image)
    named = tag is not None and any(map(str.isdigit, tag.group(1))) and "latest" not in tag.group(1)
    named = named or _RELEASE.search(image) is not None
    return "pinned" if named or "@sha256:" in image else "unpinned"


def _instructions(text: str) -> list[tuple[int, str, str]]:
    found: list[tuple[int, str, str]] = []
    pending, start = "", 0
    here: list[str] = []
    lines = [raw.strip() for raw in text_lines(text)]
    words = frozenset(lines)
    for number, line in enumerate(lines, 1):
        if here:  # a document that a command is given is no instruction
            if line == here[0]:
                here.pop(0)
            continue
        if line.startswith("#") or (not line and not pending):
            continue
        if not pending:
            start = number
        if line.endswith("\\"):
            pending += f"{line[:-1]} "
            continue
        name, _, value = (pending + line).strip().partition(" ")
        pending = ""
        if name.lower() in {"run", "copy", "add"}:
            here = [word for word in _HERE.findall(value) if word in words]
        if name.isalpha():
            found.append((start, name.lower(), value.strip()))
    return found


def _image(value: str, arguments: dict[str, str]) -> tuple[str, str]:
    words = [word for word in value.split() if not word.startswith("--")]
    image = words[0] if words else ""
    image = re.sub(
        r"\$\{?(\w+)(?::-([^}]*))?\}?",
        lambda found: arguments.get(found.group(1)) or found.group(2) or found.group(0),
        image,
    )
    alias = words[2] if len(words) > 2 and words[1].lower() == "as" else ""  # noqa: PLR2004 - FROM x AS y
    return image, alias
