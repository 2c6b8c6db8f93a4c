"""A command line with placeholders, as the settings write it."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import msgspec

from codex_audit.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

PLACEHOLDERS = ("steps", "dir", "seed", "device")
CHECKPOINT = "checkpoint"  # known to a resume alone
_PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*)\}")
_SHELL = frozenset({"|", "||", "&", "&&", ";", ">", ">>", "<", "2>&1", "2>"})
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_DOTS = ("\u2026", "...")


class Line(msgspec.Struct, frozen=True):
    """The words of a command line; `key` is the setting that it comes from."""

    key: str
    words: tuple[str, ...]

    def takes(self, name: str) -> bool:
        """Whether the placeholder `{name}` is in it."""
        return any(name in _PLACEHOLDER.findall(word) for word in self.words)

    def filled(self, values: Mapping[str, str]) -> list[str]:
        """The words with every placeholder replaced; no shell ever sees them."""
        return [_PLACEHOLDER.sub(lambda m: values[m.group(1)], word) for word in self.words]


def refusal(key: str, why: str) -> SettingsError:
    """What is wrong with a key of the trainer's settings, in one line."""
    return SettingsError(f"pyproject.toml: [tool.codex-audit.trainer] {key}: {why}")


def parse(key: str, text: str, *, continues: Line | None = None, anywhere: bool = False) -> Line:
    """Split a command line into words.

    Args:
        key: of the settings.
        text: as written there.
        continues: the line that dots at the beginning of `text` stand for.
        anywhere: whether it needs no directory.

    Raises:
        SettingsError: it cannot be split, wants a shell, has a placeholder that nobody fills, or
            none for its directory.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise refusal(key, f"cannot be split into words ({error}); close the quotation") from error
    if not words:
        raise refusal(key, "is empty; write the command that trains")
    if continues is not None and words[0] in _DOTS:
        words = [*continues.words, *words[1:]]
    shell = next((word for word in words if word in _SHELL), None)
    if shell is not None:
        why = f"has {shell!r}, and no shell runs it; put that into a script and name the script"
        raise refusal(key, why)
    if _ASSIGNMENT.match(words[0]):
        name = words[0].partition("=")[0]
        raise refusal(key, f"begins with the variable {name}; move it to the table `environment`")
    line = Line(key, tuple(words))
    for word in words:
        for name in _PLACEHOLDER.findall(word):
            allowed = PLACEHOLDERS if continues is None else (*PLACEHOLDERS, CHECKPOINT)
            if name not in allowed:
                known = ", ".join(f"{{{each}}}" for each in allowed)
                raise refusal(key, f"unknown placeholder {{{name}}}; there are: {known}")
    if not anywhere and not line.takes("dir"):
        raise refusal(
            key,
            "has no {dir}; give the option that says where checkpoints go as {dir}, or with"
            " `copy = true` let each run have a copy of the repository",
        )
    return line
