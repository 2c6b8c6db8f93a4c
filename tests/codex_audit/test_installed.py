from __future__ import annotations

import json
from typing import Any

import pytest

from codex_audit import __version__, installed

WHEEL = "file:///somewhere/codex_audit-0.1.0-py3-none-any.whl"
INDEX = f"codex-audit=={__version__}"


class Distribution:
    def __init__(self, record: dict[str, Any] | None) -> None:
        self.record = record

    def read_text(self, name: str) -> str | None:
        assert name == "direct_url.json"
        return None if self.record is None else json.dumps(self.record)


@pytest.mark.parametrize(
    ("record", "here", "elsewhere"),
    [
        (None, INDEX, INDEX),
        ({"url": WHEEL, "archive_info": {}}, f"codex-audit @ {WHEEL}", INDEX),
        (
            {"url": "file:///clone", "dir_info": {"editable": True}},
            "codex-audit @ file:///clone",
            INDEX,
        ),
        (
            {
                "url": "https://example.org/a.git",
                "vcs_info": {"vcs": "git", "commit_id": "abc"},
                "subdirectory": "tool",
            },
            "codex-audit @ git+https://example.org/a.git@abc#subdirectory=tool",
            "codex-audit @ git+https://example.org/a.git@abc#subdirectory=tool",
        ),
    ],
)
def test_the_requirement_that_installs_it_here_and_elsewhere(
    monkeypatch: pytest.MonkeyPatch, record: dict[str, Any] | None, here: str, elsewhere: str
) -> None:
    monkeypatch.setattr(installed, "distribution", lambda _name: Distribution(record))
    assert installed.installed_from() == here
    assert installed.published() == elsewhere
    assert installed.from_this_machine() is (here != elsewhere)
