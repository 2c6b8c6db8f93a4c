"""What becomes one line, and what stays a traceback."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from codex_ml import optional
from codex_ml.errors import exit_code
from codex_ml.shards import ManifestError

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_errors_that_say_what_to_do_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def foreign() -> int:
        raise ManifestError("m.json: not JSON")

    def absent() -> int:
        return len((tmp_path / "none").read_text())

    def missing() -> int:
        optional.load("codex_no_such_module", extra="text")
        return 0

    assert exit_code(foreign) == exit_code(absent) == exit_code(missing) == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: m.json: not JSON",
        f"error: {tmp_path / 'none'}: No such file or directory",
        (
            "error: No module named 'codex_no_such_module'; install it with: "
            "pip install 'codex-audit[text]'"
        ),
    ]


def test_a_fault_keeps_its_traceback_and_is_no_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> int:
        return int("x")

    assert exit_code(broken) == 2
    shown = capsys.readouterr().err.splitlines()
    assert shown[0].startswith("Traceback")
    assert shown[-1].startswith("ValueError: invalid literal")


def test_what_main_returns_is_the_exit_code() -> None:
    assert [exit_code(lambda: 0), exit_code(lambda: 1)] == [0, 1]


def test_a_reader_that_leaves_early_is_no_fault() -> None:
    program = (
        "import sys; from codex_ml.errors import exit_code\n"
        "def main():\n    for n in range(100_000): print(n)\n    return 0\n"
        "sys.exit(exit_code(main))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "0\n"
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 1
