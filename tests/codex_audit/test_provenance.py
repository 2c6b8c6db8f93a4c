"""Provenance says where, when and on what, also where the tree could not be read."""

from __future__ import annotations

import platform
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from codex_audit.provenance import provenance
from codex_audit.tree.files import list_tree

if TYPE_CHECKING:
    from pathlib import Path

STARTED = datetime(2025, 10, 6, 18, 59, 14, 999_999, tzinfo=timezone(timedelta(hours=2)))


def test_of_a_tree(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    tree = list_tree(tmp_path)
    made = provenance(
        tree,
        tools={"ruff": "1.0"},
        device="cpu",
        started=STARTED,
        seconds=1.23456,
        command="codex-audit gate lint",
    )
    assert (made.commit, made.dirty, made.tree_digest) == (None, None, tree.digest())
    assert (made.started, made.seconds) == ("2025-10-06T16:59:14Z", 1.235)
    assert (made.python, made.platform) == (platform.python_version(), platform.platform())
    assert (made.tools, made.device) == ({"ruff": "1.0"}, "cpu")
    assert made.command == "codex-audit gate lint"


def test_without_a_tree_the_digest_fits_none() -> None:
    made = provenance(None, tools={}, device="cpu", started=STARTED, seconds=0, command="x")
    assert (made.commit, made.dirty, made.tree_digest) == (None, None, "")
