"""Child processes that report, raise, crash, and are killed."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from codex_audit.gates.tool import ToolCrashedError, ToolKilledError, ToolTimeoutError
from codex_audit.proofs.children import ChildError, Children

JOB = """
import os, sys, tempfile, time
from codex_audit.proofs.child import serve

def job(spec, report):
    if spec["do"] == "report":
        report({"path": sys.path[:2], "argv": sys.argv[1:], "hash": os.environ["PYTHONHASHSEED"]})
    elif spec["do"] == "raise":
        raise KeyError("a key")
    elif spec["do"] == "crash":
        print("last words", flush=True)
        os._exit(7)
    elif spec["do"] == "die":
        os.kill(os.getpid(), 9)
    elif spec["do"] == "litter":
        report({"left": tempfile.mkdtemp()})
        os.kill(os.getpid(), 9)
    else:
        time.sleep(60)

serve(job)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    import codex_audit  # noqa: PLC0415

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "some_job.py").write_text(JOB)
    source = str(codex_audit.__path__[0]).rsplit("/", 1)[0]
    monkeypatch.setenv("PYTHONPATH", f"{elsewhere}:{source}")
    return "some_job"


def children(tmp_path: Path, timeout: float = 30) -> Children:
    root, scratch = tmp_path / "root", tmp_path / "scratch"
    (root / "src").mkdir(parents=True)
    scratch.mkdir()
    return Children(root, scratch, timeout=timeout)


def test_reports_come_back_from_the_repository_s_own_view(tmp_path: Path, module: str) -> None:
    with children(tmp_path) as group:
        for name in ("one", "two", "three"):
            group.start(name, module, {"do": "report"})
        reports = [group.wait(name) for name in ("one", "two", "three")]
    root = tmp_path / "root"
    assert reports[0]["path"] == [str(root), str(root / "src")]
    assert reports[0]["argv"] == []
    assert len({report["hash"] for report in reports}) == 3


def test_what_a_killed_child_left_in_the_temporary_directory_goes(
    tmp_path: Path, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    with children(tmp_path) as group:
        group.start("one", module, {"do": "litter"})
        left = Path(group.wait("one")["left"])
        assert left.is_dir()
        assert left.parent == Path(group.temporary)
    assert list((tmp_path / "temporary").iterdir()) == []


def test_an_exception_comes_back_as_itself(tmp_path: Path, module: str) -> None:
    with children(tmp_path) as group:
        group.start("one", module, {"do": "raise"})
        with pytest.raises(ChildError) as caught:
            group.wait("one")
    assert (caught.value.failure.type, caught.value.failure.message) == ("KeyError", "'a key'")
    assert "some_job.py" in caught.value.failure.traceback


def test_crashes_and_kills_have_names(tmp_path: Path, module: str) -> None:
    with children(tmp_path) as group:
        group.start("crash", module, {"do": "crash"})
        group.start("die", module, {"do": "die"})
        with pytest.raises(ToolCrashedError, match="exit code 7 and no result: last words"):
            group.wait("crash")
        with pytest.raises(ToolKilledError, match="killed by SIGKILL"):
            group.wait("die")


def test_time_runs_out_and_leaving_kills(tmp_path: Path, module: str) -> None:
    with children(tmp_path, timeout=0.3) as group:
        group.start("sleep", module, {"do": "sleep"})
        with pytest.raises(ToolTimeoutError, match=r"'sleep' did not end within 0\.3 s"):
            group.wait("sleep")
    assert group.kill("sleep") == -9
