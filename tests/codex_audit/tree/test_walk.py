from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING

from codex_audit.tree.files import list_tree
from codex_audit.tree.walk import spec, walk

if TYPE_CHECKING:
    from pathlib import Path


def test_links_loops_and_what_is_no_file_are_named_and_not_opened(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("")
    (tmp_path / "loop").symlink_to(".")
    (tmp_path / "out").symlink_to("/")
    os.mkfifo(tmp_path / "fifo.py")
    os.mkfifo(tmp_path / ".gitignore")
    (tmp_path / ".git").write_text("gitdir: nowhere")
    assert dict(walk(tmp_path)) == {
        "a.py": "", "loop": "symbolic link", "out": "symbolic link",
        "fifo.py": "not a regular file", ".gitignore": "not a regular file",
    }  # fmt: skip


def test_directories_nested_deeper_than_python_can_call(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    try:
        for _ in range(1500):
            os.mkdir("d", dir_fd=here)
            below = os.open("d", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        os.close(os.open("a.py", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        ((path, reason),) = walk(tmp_path)
        assert (path.count("d/"), path[-4:], reason) == (1500, "a.py", "")
        assert [one.reason for one in list_tree(tmp_path).left_out] == [
            "path of more than 500 characters"
        ]
    finally:
        os.close(here)
        # nor can Python's own way to remove a tree go so deep
        subprocess.run(["rm", "-r", str(tmp_path / "d")], check=True)


def test_lines_of_an_ignore_file_that_are_no_pattern_fit_nothing() -> None:
    patterns = spec(["!", "[z-a]", "\\", "*.log"])
    assert patterns.match_file("a.log")
    assert not patterns.match_file("a.py")


def test_a_pattern_of_many_stars_takes_no_time() -> None:
    begun = time.monotonic()
    assert not spec(["*a" * 30 + "b"]).match_file("a" * 250)
    assert time.monotonic() - begun < 1
