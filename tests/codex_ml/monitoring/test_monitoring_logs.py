"""Messages arrive where they belong, and what cannot be written is said once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from codex_ml_isolated import run_alone

from codex_ml.monitoring import setup_logging

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import logging, sys, warnings
from pathlib import Path
from codex_ml.monitoring import setup_logging

def main(directory, **options):
    setup_logging(directory, **options)
    log = logging.getLogger("train")
    log.debug("a detail")
    log.info("step %d", 3, extra={"loss": 0.5, "where": Path("x")})
    warnings.warn("odd", UserWarning)
    try:
        1 / 0
    except ZeroDivisionError:
        log.exception("it broke")

"""


def test_a_message_is_on_the_console_in_the_file_and_a_line_of_json(tmp_path: Path) -> None:
    done = run_alone(PROGRAM + "main(Path('run'))", tmp_path)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "run" / "run.log").read_text()
    assert text == done.stderr
    for wanted in ("INFO train: step 3\n", "UserWarning: odd", "ZeroDivisionError", "it broke"):
        assert wanted in text
    assert "a detail" not in text
    lines = (tmp_path / "run" / "run.jsonl").read_text().splitlines()
    step, warned, broke = map(json.loads, lines)
    assert (step["level"], step["logger"], step["message"]) == ("INFO", "train", "step 3")
    assert (step["loss"], step["where"], step["rank"]) == (0.5, "x", 0)
    assert warned["logger"] == "py.warnings"
    assert broke["exception"].endswith("ZeroDivisionError: division by zero")


def test_other_ranks_have_files_of_their_own_and_are_quiet(tmp_path: Path) -> None:
    done = run_alone(PROGRAM + "main(Path('run'))", tmp_path, RANK="2")
    assert done.returncode == 0, done.stderr
    assert "[rank 2]: it broke" in done.stderr
    assert "step 3" not in done.stderr
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "run.rank2.jsonl", "run.rank2.log",
    ]  # fmt: skip
    assert "[rank 2]: step 3" in (tmp_path / "run" / "run.rank2.log").read_text()


def test_the_level_comes_from_the_argument_then_the_environment(tmp_path: Path) -> None:
    by_environment = run_alone(PROGRAM + "main(None)", tmp_path, CODEX_ML_LOG_LEVEL="debug")
    assert "a detail" in by_environment.stderr
    by_argument = run_alone(
        PROGRAM + "main(None, level='ERROR')", tmp_path, CODEX_ML_LOG_LEVEL="debug"
    )
    assert "it broke" in by_argument.stderr
    assert "step 3" not in by_argument.stderr


def test_an_unknown_level_is_named_with_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODEX_ML_LOG_LEVEL", "loud")
    with pytest.raises(ValueError, match=r"CODEX_ML_LOG_LEVEL='LOUD'.*there are DEBUG, INFO"):
        setup_logging()
    with pytest.raises(ValueError, match="level='SOFT'"):
        setup_logging(level="soft")


def test_a_file_is_put_aside_when_it_is_full_and_old_ones_go(tmp_path: Path) -> None:
    rotates = """
setup_logging(Path("run"), max_bytes=2000, backups=2)
for number in range(200):
    logging.getLogger().info("message %d", number)
"""
    done = run_alone(PROGRAM + rotates, tmp_path)
    assert done.returncode == 0, done.stderr
    files = sorted((tmp_path / "run").glob("run.log*"))
    assert [path.name for path in files] == ["run.log", "run.log.1", "run.log.2"]
    assert all(path.stat().st_size <= 2000 for path in files)
    assert files[0].read_text().endswith("message 199\n")


def test_set_up_again_it_replaces_its_own_and_keeps_that_of_others(tmp_path: Path) -> None:
    again = """
other = logging.FileHandler("other.log")
logging.getLogger().addHandler(other)
setup_logging(Path("one"))
setup_logging(Path("two"))
logging.getLogger("train").info("hello")
"""
    done = run_alone(PROGRAM + again, tmp_path)
    assert done.stderr.count("hello") == 1
    assert (tmp_path / "other.log").read_text() == "hello\n"
    assert (tmp_path / "one" / "run.log").read_text() == ""
    assert (tmp_path / "two" / "run.log").read_text().count("hello") == 1


def test_a_directory_that_cannot_be_made_leaves_the_console(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    done = run_alone(PROGRAM + "main(Path('run'))", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("messages go to the console alone") == 1
    assert "step 3" in done.stderr


def test_a_full_disk_is_said_once_and_the_run_goes_on(tmp_path: Path) -> None:
    full = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
setup_logging(Path("run"))
for number in range(200):
    logging.getLogger().info("message %d", number)
setup_logging()
print("end")
"""
    done = run_alone(PROGRAM + full, tmp_path)
    assert (done.returncode, done.stdout) == (0, "end\n"), done.stderr
    assert done.stderr.count("messages are missing there") == 2  # run.log and run.jsonl
    assert "Traceback" not in done.stderr
    assert "message 199\n" in done.stderr


def test_a_message_with_a_fault_is_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    done = run_alone(PROGRAM + "setup_logging(Path('r')); logging.error('%d', 'x')", tmp_path)
    assert "TypeError" in done.stderr
    assert "missing there" not in done.stderr
