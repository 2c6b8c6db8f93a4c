"""What is seen of a save, and how it is broken."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

from codex_audit.proofs.trainer.background import Background
from codex_audit.proofs.trainer.saving import Operations

if TYPE_CHECKING:
    from pathlib import Path


def test_changes_below_the_directory_are_told_and_no_others(tmp_path: Path) -> None:
    inside, outside = tmp_path / "run", tmp_path / "other"
    inside.mkdir()
    outside.mkdir()
    operations = Operations(inside, Background(lambda: 0))
    operations.begin(None)
    (inside / "a.partial").write_text("1")
    (inside / "a.partial").replace(inside / "a")
    (outside / "b").write_text("1")
    (inside / "a").read_text()
    (inside / "c").mkdir()
    shutil.rmtree(inside / "c")
    (outside / "b").unlink()
    assert operations.seen == [
        "open a.partial",
        "rename a.partial to a",
        "mkdir c",
        "rmdir c",
    ]


def run(code: str, directory: Path) -> int:
    script = textwrap.dedent(code)
    done = subprocess.run(
        [sys.executable, "-c", script, str(directory)], check=False, env=os.environ, timeout=60
    )
    return done.returncode


def test_a_halt_comes_right_before_the_change(tmp_path: Path) -> None:
    code = """
        import pathlib, sys
        from codex_audit.proofs.trainer.background import Background
        from codex_audit.proofs.trainer.saving import Operations
        where = pathlib.Path(sys.argv[1])
        operations = Operations(where, Background(lambda: 0))
        operations.begin(3)
        (where / "a").write_text("1")
        (where / "b").write_text("1")
        (where / "a").unlink()
        (where / "c").write_text("1")
    """
    assert run(code, tmp_path) == -signal.SIGKILL
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_the_kernel_ends_a_process_at_the_byte_asked_for(tmp_path: Path) -> None:
    code = """
        import pathlib, sys
        from codex_audit.proofs.trainer.saving import killed_by_size
        where = pathlib.Path(sys.argv[1])
        with killed_by_size((2, 100), 1):
            (where / "first").write_bytes(bytes(1000))
        with killed_by_size((2, 100), 2):
            (where / "small").write_bytes(bytes(100))
            (where / "large").write_bytes(bytes(1000))
    """
    assert run(code, tmp_path) == -signal.SIGXFSZ
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes == {"first": 1000, "small": 100, "large": 100}


def test_a_late_kill_comes_also_after_the_save_has_returned(tmp_path: Path) -> None:
    code = """
        import time
        from codex_audit.proofs.trainer.saving import kill_later
        kill_later((1, 0.0), 2)
        time.sleep(0.05)
        kill_later((1, 0.05), 1)
        time.sleep(30)
    """
    assert run(code, tmp_path) == -signal.SIGKILL


def test_what_is_renamed_without_a_sync_is_told(tmp_path: Path) -> None:
    code = """
        import os, pathlib, sys
        from codex_audit.proofs.trainer.background import Background
        from codex_audit.proofs.trainer.saving import Operations
        where = pathlib.Path(sys.argv[1])
        operations = Operations(where, Background(lambda: 0))
        operations.begin(None)
        for name in ("synced", "quick"):
            (where / name).mkdir()
            with (where / name / "part").open("wb") as stream:
                stream.write(b"1")
                stream.flush()
                if name == "synced":
                    os.fsync(stream.fileno())
            (where / name / "part").rename(where / name / "whole")
            (where / name).rename(where / f"{name}-done")
        assert operations.unsynced == ["quick/whole", "quick-done"], operations.unsynced
    """
    assert run(code, tmp_path) == 0
