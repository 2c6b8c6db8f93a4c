from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conftest import git

from codex_audit.tree import git as git_module
from codex_audit.tree.files import list_tree
from codex_audit.tree.git import GitRefusedError, index_entries

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[[dict[str, str]], Path]


def snapshot(root: Path) -> dict[Path, tuple[int, int]]:
    return {
        path: (path.lstat().st_mtime_ns, path.lstat().st_size)
        for path in (root / ".git").rglob("*")
    }


def test_a_partial_clone_fetches_nothing_and_runs_nothing(
    make_repository: Make, tmp_path: Path
) -> None:
    root = make_repository({"a.py": "x = 1\n"})
    trap, script = tmp_path / "trap", tmp_path / "ssh.sh"
    script.write_text(f"#!/bin/sh\ntouch {trap}\nexit 1\n")
    script.chmod(0o755)
    tree = git(root, "rev-parse", "HEAD^{tree}").strip()
    for key, value in {
        "core.sshCommand": str(script), "remote.origin.url": "ssh://x.invalid/y",
        "remote.origin.promisor": "true", "extensions.partialClone": "origin",
        "core.repositoryFormatVersion": "1",
    }.items():  # fmt: skip
        git(root, "config", key, value)
    (root / ".git" / "objects" / tree[:2] / tree[2:]).unlink()
    before = snapshot(root)
    assert list_tree(root).dirty is True
    assert not trap.exists()
    assert snapshot(root) == before
    with pytest.raises(Exception, match="non-zero"):
        git(root, "diff-index", "--cached", "--quiet", "HEAD")  # git by itself falls into it
    assert trap.exists()


@pytest.mark.parametrize(
    ("damage", "said"),
    [("nowhere", "not a git repository"), ("index", "index"), ("config", "bad config")],
)
def test_a_repository_that_git_cannot_read_is_walked_and_says_why(
    make_repository: Make, tmp_path: Path, damage: str, said: str
) -> None:
    root = make_repository({"a.py": ""})
    if damage == "nowhere":
        (root / ".git").rename(tmp_path / "moved")
        (root / ".git").write_text("gitdir: /nowhere/at/all\n")
    else:
        (root / ".git" / damage).write_text("[[[ garbage")
    with pytest.raises(GitRefusedError, match=said):
        index_entries(root)
    tree = list_tree(root)
    assert (tree.listed_by, [file.path for file in tree.files]) == ("walk", ["a.py"])
    assert said in tree.git_problem


def test_a_git_that_does_not_answer_is_not_waited_for(
    make_repository: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_repository({"a.py": ""})
    os.mkfifo(tmp_path / "fifo")
    git(root, "config", "include.path", str(tmp_path / "fifo"))
    monkeypatch.setattr(git_module, "_TIMEOUT", 1)
    assert list_tree(root).git_problem == "git did not answer within 1 seconds"


def test_git_is_never_a_program_of_the_tree(
    make_repository: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_repository({"a.py": "", "git": f"#!/bin/sh\ntouch {tmp_path / 'trap'}\n"})
    (root / "git").chmod(0o755)
    monkeypatch.chdir(root)
    monkeypatch.setenv("PATH", ".:")
    assert list_tree(root).git_problem == "git is not installed"
    assert not (tmp_path / "trap").exists()


def test_a_bare_repository_has_no_files_to_audit(make_repository: Make) -> None:
    with pytest.raises(NotADirectoryError, match=r"bare git repository.*give a clone"):
        list_tree(make_repository({"a.py": ""}) / ".git")


def test_unmerged_and_intended_and_staged_but_gone(make_repository: Make) -> None:
    root = make_repository({"conflict.py": "base\n"})
    git(root, "checkout", "-q", "-b", "other")
    (root / "conflict.py").write_text("theirs\n")
    git(root, "commit", "-qam", "theirs")
    git(root, "checkout", "-q", "main")
    (root / "conflict.py").write_text("ours\n")
    git(root, "commit", "-qam", "ours")
    with pytest.raises(Exception, match="non-zero"):
        git(root, "merge", "other")
    for name in ("intended.py", "gone.py"):
        (root / name).write_text("x = 1\n")
    git(root, "add", "-N", "intended.py")
    git(root, "add", "gone.py")
    (root / "gone.py").unlink()
    tree = list_tree(root)
    assert [file.path for file in tree.files] == ["conflict.py", "intended.py"]
    assert [(one.reason, one.count) for one in tree.left_out] == [("tracked, but not on disk", 1)]
    assert tree.dirty is True


def test_tracked_files_that_became_something_else_are_not_opened(
    make_repository: Make, tmp_path: Path
) -> None:
    root = make_repository({"pkg/a.py": "", "fifo.py": "", "b.py": ""})
    (root / "fifo.py").unlink()
    os.mkfifo(root / "fifo.py")
    (root / "pkg").rename(tmp_path / "outside")
    (root / "pkg").symlink_to(tmp_path / "outside")
    tree = list_tree(root)
    assert [file.path for file in tree.files] == ["b.py"]
    assert {one.reason: one.count for one in tree.left_out} == {
        "not a regular file": 1, "tracked, but not on disk": 1,
    }  # fmt: skip
    assert tree.dirty is True


def test_names_that_cannot_be_printed_are_shown_escaped_and_read(make_repository: Make) -> None:
    root = make_repository({"a\nb|.py": "x = 1\n"})
    Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9.py")).write_text("y = 2\n")
    git(root, "add", "-A")
    tree = list_tree(root)
    assert [file.path for file in tree.files] == [r"a\nb|.py", r"caf\xe9.py"]
    assert tree.read(r"caf\xe9.py") == b"y = 2\n"
    assert len(tree.digest()) == 64


@pytest.mark.parametrize("kind", ["sha256", "lfs"])
def test_a_clean_checkout_is_clean(make_tree: Make, make_repository: Make, kind: str) -> None:
    if kind == "sha256":
        root = make_tree({"a.py": "x = 1\n"})
        git(root, "init", "-q", "--object-format=sha256")
        git(root, "add", "-A")
        git(root, "commit", "-q", "-m", "first")
    else:
        pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 6\n"
        digest = hashlib.sha256(b"weight").hexdigest()
        root = make_repository({"a.bin": pointer.format(digest)})
        (root / "a.bin").write_bytes(b"weight")  # as Git LFS checks it out
    assert list_tree(root).dirty is False
