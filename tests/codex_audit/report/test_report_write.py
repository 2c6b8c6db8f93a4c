"""Writing: every format or none, and a manifest that fits what lies there."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import types
from typing import TYPE_CHECKING

import msgspec
import pytest
from status_factory import SETTINGS, capability, captured, criterion, outcome, scan, write_all

import codex_audit.report
from codex_audit.outcome import Evidence, Verdict, write_atomically
from codex_audit.records import Answer
from codex_audit.report import formats, sarif
from codex_audit.report.document import PhaseStatus, StatusDocument
from codex_audit.report.merge import merge
from codex_audit.report.write import write_report

if TYPE_CHECKING:
    from pathlib import Path

FILES = ["STATUS.md", "status.json", "status.sarif", "manifest.json"]


@pytest.fixture
def document(tmp_path: Path) -> StatusDocument:
    return merge(scan(), write_all(tmp_path / "outcomes"), SETTINGS)


def test_every_format_is_written_and_the_manifest_last(
    tmp_path: Path, document: StatusDocument
) -> None:
    paths = write_report(document, tmp_path)
    assert [path.name for path in paths] == FILES
    assert {path.name for path in tmp_path.iterdir()} == {*FILES, "outcomes"}
    assert "| 8 - Final Packaging | PASS |" in paths[0].read_text(encoding="utf-8")


def test_the_manifest_fits_every_artifact(tmp_path: Path, document: StatusDocument) -> None:
    write_report(document, tmp_path)
    listed = json.loads((tmp_path / "manifest.json").read_bytes())
    assert listed["tree_digest"] == "digest"
    found = {each["path"]: each for each in listed["artifacts"]}
    outcomes = {f"outcomes/{gate}.json" for gate in SETTINGS.gates}
    assert set(found) == outcomes | set(FILES[:3])
    for path, each in found.items():
        data = (tmp_path / path).read_bytes()
        assert each["sha256"] == hashlib.sha256(data).hexdigest()
        assert each["bytes"] == len(data)


def test_a_format_that_fails_leaves_what_was_there(
    tmp_path: Path, document: StatusDocument, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_report(document, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.glob("*.*")}

    def broken(_: StatusDocument) -> str:
        raise ZeroDivisionError

    monkeypatch.setattr(sarif, "FORMAT", formats.Format("sarif", "status.sarif", broken))
    changed = msgspec.structs.replace(document, project="other")
    with pytest.raises(ZeroDivisionError):
        write_report(changed, tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.glob("*.*")} == before


def test_an_error_in_packaging_is_no_pass(tmp_path: Path) -> None:
    document = merge(scan(errors=(captured(8),)), tmp_path, SETTINGS)
    assert document.phases[7].status is PhaseStatus.DEGRADED
    write_report(document, tmp_path)
    written = msgspec.json.decode((tmp_path / "status.json").read_bytes(), type=StatusDocument)
    assert written.phases[7].status is PhaseStatus.DEGRADED


def test_status_json_is_the_document(tmp_path: Path, document: StatusDocument) -> None:
    write_report(document, tmp_path)
    data = (tmp_path / "status.json").read_bytes()
    read = msgspec.json.decode(data, type=StatusDocument)
    assert msgspec.structs.replace(read, phases=document.phases) == document
    answer = json.loads(data)["capabilities"]["tokenization"]["criteria"]["there"]
    assert answer["answer"] == "met"
    assert answer["proof"] == "static"
    assert answer["evidence"] == [{"path": "train.py", "line": 7, "snippet": "there()"}]


def test_a_new_format_is_one_new_module(
    tmp_path: Path, document: StatusDocument, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "more"
    directory.mkdir()
    (directory / "plain.py").write_text(
        "from codex_audit.report.formats import Format\n"
        "FORMAT = Format('plain', 'status.txt', lambda document: document.project)\n"
    )
    monkeypatch.setattr(
        codex_audit.report, "__path__", [*codex_audit.report.__path__, str(directory)]
    )
    monkeypatch.delitem(sys.modules, "codex_audit.report.plain", raising=False)
    paths = write_report(document, tmp_path / "out")
    monkeypatch.delitem(sys.modules, "codex_audit.report.plain")
    assert (tmp_path / "out/status.txt").read_text() == "demo"
    assert paths[-1].name == "manifest.json"
    assert isinstance(formats.find_format("json").render, types.FunctionType)


def test_an_unknown_format_names_those_there_are() -> None:
    with pytest.raises(formats.UnknownFormatError, match="no format 'pdf'; there are: json, mark"):
        formats.find_format("pdf")


def test_a_plain_scan_renders_in_every_format_and_runs_no_gate() -> None:
    audited = scan(capability("deployment", criterion("container", Answer.UNMET)))
    document = merge(audited, None, SETTINGS)
    rendered = {name: each.render(document) for name, each in formats.all_formats().items()}
    assert list(rendered) == ["json", "markdown", "sarif"]
    assert "| 6 - Quality & Security Gates | NOT RUN |" in rendered["markdown"]
    assert json.loads(rendered["json"])["verdict"] == "NOT RUN"
    (result,) = json.loads(rendered["sarif"])["runs"][0]["results"]
    assert result["ruleId"] == "deployment.container"


def test_a_file_name_that_is_not_utf_8_leaves_no_repository_without_documents(
    tmp_path: Path,
) -> None:
    odd = Evidence(b"caf\xe9.py".decode("utf-8", "surrogateescape"), 1, "x")
    audited = scan(
        capability("deployment", criterion("a", Answer.UNMET, nearest=odd)),
        capability("tokenization", criterion("b", evidence=(odd,))),
    )
    paths = write_report(merge(audited, None, SETTINGS), tmp_path)
    shown = [path.read_text(encoding="utf-8") for path in paths[:3]]
    assert "`caf\\udce9.py:1`" in shown[0]
    assert "caf\\\\udce9.py" in shown[1]
    assert "caf%5Cudce9.py" in shown[2]


def test_outcomes_that_lie_elsewhere_are_in_the_manifest(
    tmp_path: Path, document: StatusDocument
) -> None:
    write_report(document, tmp_path / "docs", tmp_path / "outcomes")
    listed = json.loads((tmp_path / "docs/manifest.json").read_bytes())["artifacts"]
    assert "../outcomes/lint.json" in {each["path"] for each in listed}


def test_a_directory_that_cannot_be_made_is_an_os_error(
    tmp_path: Path, document: StatusDocument
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        write_report(document, tmp_path / "file")


def test_a_failing_gate_is_in_every_format(tmp_path: Path) -> None:
    write_all(tmp_path / "outcomes", outcome("lint", Verdict.FAIL))
    paths = write_report(merge(scan(), tmp_path / "outcomes", SETTINGS), tmp_path)
    assert all("main: main failed" in path.read_text(encoding="utf-8") for path in paths[:3])


def test_a_pipe_that_is_written_to_stays_one(tmp_path: Path) -> None:
    pipe = tmp_path / "answers.json"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_atomically(pipe, b"{}")
        assert os.read(reader, 9) == b"{}"
    finally:
        os.close(reader)
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]
