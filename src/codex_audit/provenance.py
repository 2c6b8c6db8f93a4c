"""Where, when and on what an outcome was made."""

from __future__ import annotations

import platform
from datetime import UTC
from typing import TYPE_CHECKING, Protocol

from codex_audit.outcome import Provenance

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


class Identity(Protocol):
    """What provenance asks of a tree."""

    @property
    def commit(self) -> str | None:
        """The checked-out commit."""

    @property
    def dirty(self) -> bool | None:
        """Whether tracked files differ from it."""

    def digest(self) -> str:
        """The digest of all tracked content."""


def provenance(
    tree: Identity | None,
    *,
    tools: Mapping[str, str],
    device: str,
    started: datetime,
    seconds: float,
    command: str,
) -> Provenance:
    """The provenance of what was made from `tree` by this Python on this machine.

    `tree` is none where it could not be read: the digest is then empty and fits no tree.
    `seconds` is rounded to milliseconds, `started` is given in UTC to the second.
    """
    return Provenance(
        commit=tree.commit if tree else None,
        dirty=tree.dirty if tree else None,
        tree_digest=tree.digest() if tree else "",
        tools=dict(tools),
        python=platform.python_version(),
        platform=platform.platform(),
        device=device,
        started=started.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        seconds=round(seconds, 3),
        command=command,
    )
