from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import codex_audit
from codex_audit.tree.facts import Found
from codex_audit.tree.files import TreeFile
from codex_audit.tree.processes import available, read_in_processes

FILES = [TreeFile(f"{number}.py", 1, "core") for number in range(9)]


def read(file: TreeFile) -> Found:
    if file.path == "4.py":
        os.kill(os.getpid(), signal.SIGKILL)
    if file.path == "7.py":
        os._exit(3)
    return Found(file.path, file.role, os.getpid())


def test_a_process_that_dies_costs_the_file_that_it_was_reading() -> None:
    found = read_in_processes(read, FILES, 3)
    assert [file.path for file in found] == [file.path for file in FILES]
    assert {file.path: file.problem.reason for file in found if file.problem} == {
        "4.py": "the process that read it was killed by SIGKILL",
        "7.py": "the process that read it exited with 3",
    }
    assert os.getpid() not in {file.lines for file in found}


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_the_one_that_started_it(tmp_path: Path, sent: signal.Signals) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import sys, time\n"
        "from pathlib import Path\n"
        "from codex_audit.tree.facts import Found\n"
        "from codex_audit.tree.files import TreeFile\n"
        "from codex_audit.tree.processes import read_in_processes\n"
        "import os\n"
        "def read(file):\n"
        "    Path(sys.argv[1], str(os.getpid())).touch()\n"
        "    time.sleep(0.05)\n"
        "    return Found(file.path, 'core', 0)\n"
        "files = [TreeFile(str(n), 1, 'core') for n in range(2000)]\n"
        "read_in_processes(read, files, 2)\n"
    )
    started = tmp_path / "started"
    started.mkdir()
    source = str(Path(codex_audit.__file__).parents[1])
    running = subprocess.Popen(
        [sys.executable, str(program), str(started)],
        env={**os.environ, "PYTHONPATH": source}, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    limit = time.monotonic() + 20
    while len(list(started.iterdir())) < 2 and time.monotonic() < limit:
        time.sleep(0.02)
    workers = [int(path.name) for path in started.iterdir()]
    assert len(workers) == 2
    running.send_signal(sent)
    running.wait(20)
    while any(map(alive, workers)) and time.monotonic() < limit:
        time.sleep(0.02)
    assert not [worker for worker in workers if alive(worker)]


def alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_process_of_a_pool_reads_alone_since_it_may_have_no_children() -> None:
    assert available()
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert not pool.apply(available)
