from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import msgspec
import pytest

from codex_audit.tree.cache import Cache, user_cache
from codex_audit.tree.facts import Fact, Found, Noted, Problem
from codex_audit.tree.files import list_tree

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Make = Callable[[dict[str, str]], Path]

FOUND = Found(
    "a.py", "core", 3, {7: ((1, "f"), (2, ""))}, (Fact("requirement", "torch", 1, ">=2"),), 0,
    (Noted(1, "f", "def f(): ..."),), (), Problem(2, "invalid syntax"), {8: "broken"},
)  # fmt: skip


def database(folder: Path) -> Path:
    (found,) = folder.iterdir()
    return found


def test_what_is_kept_comes_back_as_it_was(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "new")
    assert cache.get([b"one"]) == {}
    cache.put({b"one": FOUND})
    assert Cache(tmp_path / "new").get([b"one", b"two"]) == {b"one": FOUND}
    many = {str(number).encode(): FOUND for number in range(1200)}
    cache.put(many)
    assert cache.get(list(many)) == many


@pytest.mark.parametrize("damage", [b"no database at all" * 99, b""])
def test_a_damaged_file_costs_what_it_held_and_nothing_else(tmp_path: Path, damage: bytes) -> None:
    cache = Cache(tmp_path)
    cache.put({b"one": FOUND})
    database(tmp_path).write_bytes(damage)
    assert cache.get([b"one"]) == {}
    cache.put({b"two": FOUND})
    assert cache.get([b"two"]) == {b"two": FOUND}


def test_a_damaged_file_that_may_not_be_removed_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = Cache(tmp_path)
    cache.put({b"one": FOUND})
    database(tmp_path).write_bytes(b"no database at all" * 99)

    def refuse(path: Path, *, missing_ok: bool) -> None:
        raise PermissionError(f"{path} {missing_ok}")

    monkeypatch.setattr(type(tmp_path), "unlink", refuse)
    assert cache.get([b"one"]) == {}
    cache.put({b"two": FOUND})


def test_what_has_another_form_is_not_read(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.put({b"one": FOUND})
    with sqlite3.connect(database(tmp_path)) as opened:
        opened.execute("UPDATE kept SET value = ?", (msgspec.msgpack.encode({"path": 1}),))
    opened.close()
    assert cache.get([b"one"]) == {}
    cache.put({b"one": FOUND})
    assert cache.get([b"one"]) == {b"one": FOUND}


def test_it_is_bounded_and_keeps_what_was_used_last(tmp_path: Path) -> None:
    big = msgspec.structs.replace(FOUND, path="x" * 4000)
    cache = Cache(tmp_path, limit=400_000)
    cache.put({str(number).encode(): big for number in range(80)})
    with sqlite3.connect(database(tmp_path)) as opened:
        opened.execute("UPDATE kept SET day = day - 1")
    opened.close()
    used = [str(number).encode() for number in range(20)]
    assert len(cache.get(used)) == 20
    cache.put({b"new" + str(number).encode(): big for number in range(40)})
    assert database(tmp_path).stat().st_size <= 400_000
    assert len(cache.get(used)) == 20
    assert len(cache.get([str(number).encode() for number in range(20, 80)])) < 60


def test_a_directory_that_cannot_be_written_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = Cache(tmp_path / "file" / "below")
    cache.put({b"one": FOUND})
    assert cache.get([b"one"]) == {}


def test_it_never_lies_in_the_audited_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home" / ".cache"))
    assert user_cache(tmp_path / "home") is None
    assert user_cache(tmp_path / "other") is not None


WRITER = """
import sys
from pathlib import Path
from codex_audit.tree.cache import Cache
from codex_audit.tree.facts import Found
cache = Cache(Path(sys.argv[1]))
print("ready", flush=True)
for number in range(int(sys.argv[3])):
    cache.put({f"{sys.argv[2]}-{number}-{part}".encode(): Found("p" * 500, "core", number) for part in range(50)})
"""


def writer(folder: Path, name: str, rounds: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), name, str(rounds)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_runs_at_once_keep_what_each_found(tmp_path: Path) -> None:
    running = [writer(tmp_path, name, 10) for name in "ab"]
    assert [one.wait(60) for one in running] == [0, 0]
    keys = [f"{name}-{n}-{part}".encode() for name in "ab" for n in range(10) for part in range(50)]
    assert len(Cache(tmp_path).get(keys)) == len(keys)
    for one in running:
        one.communicate()


def test_a_run_that_is_killed_leaves_whole_rounds(tmp_path: Path) -> None:
    for wait in (0.0, 0.02, 0.05):
        running = writer(tmp_path, str(wait), 10_000)
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        time.sleep(wait)
        running.kill()
        running.communicate()
        keys = [f"{wait}-{n}-{part}".encode() for n in range(500) for part in range(50)]
        kept = Cache(tmp_path).get(keys)
        assert len(kept) % 50 == 0
    Cache(tmp_path).put({b"after": FOUND})
    assert Cache(tmp_path).get([b"after"]) == {b"after": FOUND}


def test_contents_are_known_until_a_file_changes(make_tree: Make) -> None:
    root = make_tree({"a.py": "x = 1\n", "b.py": "y = 1\n"})
    for name in ("a.py", "b.py"):
        os.utime(root / name, ns=(0, 0))
    first = list_tree(root)
    digest = first.digest()
    # written a moment ago: their change time says so, whatever their other times are
    assert first.contents == {}
    known = {path: first._content(path) for path in ("a.py", "b.py")}
    again = list_tree(root, (), known)
    assert again.digest() == digest
    (root / "a.py").write_text("x = 2\n")
    os.utime(root / "a.py", ns=(0, 0))
    changed = list_tree(root, (), known)
    assert changed.digest() != digest
    assert changed.digest() == list_tree(root).digest()
