"""Documents are whole, of the format that is asked for, and what is not JSON is said."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest
import torch

from codex_ml import documents
from codex_ml.documents import FormatError, as_json, from_json, header, numbers, to_json, write_text

if TYPE_CHECKING:
    from pathlib import Path

KIND = "codex-ml-test"


def test_a_document_comes_back_and_the_same_values_give_the_same_bytes() -> None:
    text = to_json({**header(KIND), "b": [1, None], "a": "x"})
    assert from_json(text.encode(), KIND)["b"] == [1, None]
    assert text == to_json({"a": "x", "b": [1, None], **header(KIND)})
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json({"loss": math.nan})


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "format: not 'codex-ml-test'; read it with the program that wrote it"),
        ([1], "format: not 'codex-ml-test'"),
        ({**header(KIND), "format_version": 2}, "format_version: 2, and this one reads 1; read"),
        ({"format": KIND}, "format_version: None"),
    ],
)
def test_another_format_or_version_is_refused(document: Any, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        from_json(json.dumps(document).encode(), KIND)


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_said_in_one_line(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"^not JSON \(.*\)$") as raised:
        from_json(content, KIND)
    assert not isinstance(raised.value, FormatError)


def test_a_file_is_written_whole_or_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_text(tmp_path / "a.json", "old")

    def cut(target: Path, text: str, encoding: str) -> None:
        with target.open("w", encoding=encoding) as stream:
            stream.write(text[:1])
        raise OSError(28, "No space left on device", str(target))

    with monkeypatch.context() as patch:
        patch.setattr(type(path), "write_text", cut)
        with pytest.raises(OSError, match="No space"):
            write_text(path, "new")
    assert path.read_text() == "old"
    write_text(path, "new")
    assert path.read_text() == "new"
    assert documents.sha256(path).startswith("11507a0e2f5e69d5")


def test_numbers_go_into_json_and_come_back() -> None:
    given = {"nan": math.nan, "low": -math.inf, "two": torch.tensor(2)}
    found = as_json(numbers(given))
    assert found == {"nan": "NaN", "low": "-Infinity", "two": 2.0}
    again = numbers(json.loads(to_json(found)))
    assert math.isnan(again.pop("nan"))
    assert again == {"low": -math.inf, "two": 2.0}
    with pytest.raises(TypeError, match="metric 'loss' is 'low', which is no number"):
        numbers({"loss": "low"})
