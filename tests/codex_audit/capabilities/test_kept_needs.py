from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from codex_audit.capabilities.kept_needs import kept_needs
from codex_audit.tree import literals
from codex_audit.tree.cache import Cache

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> dict[str, frozenset[str]]:
    """Nothing is known yet, as in a new process."""
    nothing: dict[str, frozenset[str]] = {}
    monkeypatch.setattr(literals, "KNOWN", nothing)
    monkeypatch.setattr("codex_audit.capabilities.kept_needs.KNOWN", nothing)
    return nothing


def find(cache: Cache | None, version: str = "1") -> None:
    with kept_needs(cache, version):
        assert literals.needed_texts(r"torch\.(save|load)") == {"torch.save", "torch.load"}


def test_a_run_begins_with_what_the_one_before_found(
    tmp_path: Path, known: dict[str, frozenset[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    find(Cache(tmp_path))
    known.clear()

    def never(expression: str) -> frozenset[str]:
        raise AssertionError(expression)

    monkeypatch.setattr(literals, "_needed", never)
    find(Cache(tmp_path))
    known.clear()
    with pytest.raises(AssertionError, match="torch"):
        find(Cache(tmp_path), version="2")  # other rules
    with pytest.raises(AssertionError, match="torch"):
        find(None)


def test_what_has_another_form_is_found_anew(
    tmp_path: Path, known: dict[str, frozenset[str]]
) -> None:
    find(Cache(tmp_path))
    known.clear()
    (file,) = tmp_path.iterdir()
    with sqlite3.connect(file) as database:
        database.execute("UPDATE kept SET value = ?", (b"\x93\x01\x02\x03",))
    find(Cache(tmp_path))
