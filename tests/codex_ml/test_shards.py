"""Shards are verified when they are opened, and what differs is named."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from codex_ml.shards import Manifest, ManifestError, read_manifest, write_manifest

if TYPE_CHECKING:
    from pathlib import Path

JSONL = '{"id": "a", "n": 1}\n\n{"id": "b\u2028c", "n": 2}\n'
MORE = '\ufeff{"id": "c", "text": "two\\nlines"}\r\n{"id": "d", "text": "plain"}\r\n'


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    (tmp_path / "part").mkdir()
    first, second = tmp_path / "part" / "a.jsonl", tmp_path / "b.jsonl"
    first.write_bytes(JSONL.encode())
    second.write_bytes(MORE.encode())
    return write_manifest(tmp_path / "manifest.json", [first, second])


def edited(manifest: Manifest, change: Any) -> Path:
    document = json.loads(manifest.path.read_text())
    change(document)
    manifest.path.write_text(json.dumps(document))
    return manifest.path


def test_rows_come_back_with_their_places(manifest: Manifest) -> None:
    assert [(shard.path, shard.rows) for shard in manifest.shards] == [
        ("part/a.jsonl", 2), ("b.jsonl", 2),
    ]  # fmt: skip
    assert manifest.shards[1].bytes == len(MORE.encode())
    rows = list(read_manifest(manifest.path).rows())
    assert [row.values for row in rows] == [
        {"id": "a", "n": 1}, {"id": "b\u2028c", "n": 2},
        {"id": "c", "text": "two\nlines"}, {"id": "d", "text": "plain"},
    ]  # fmt: skip
    assert [row.place.rpartition("/")[2] for row in rows] == [
        "a.jsonl:1", "a.jsonl:3", "b.jsonl:1", "b.jsonl:2",
    ]  # fmt: skip


def test_the_same_files_give_the_same_manifest(manifest: Manifest) -> None:
    files = [manifest.path.parent / shard.path for shard in manifest.shards]
    again = write_manifest(manifest.path.with_name("again.json"), files)
    assert again.sha256 == manifest.sha256
    assert not list(manifest.path.parent.glob(".*"))


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (JSONL[:-1], "bytes is 44, and .* says 45"),
        (JSONL.replace("2}", "3}"), "sha256 is [0-9a-f]{64}, and .* says [0-9a-f]{64}"),
        (None, "cannot be read"),
    ],
)
def test_no_row_of_a_changed_shard_is_used(
    manifest: Manifest, content: str | None, named: str
) -> None:
    path = manifest.path.parent / "part" / "a.jsonl"
    path.unlink() if content is None else path.write_bytes(content.encode())
    with pytest.raises(ManifestError, match=f"a.jsonl: {named}"):
        next(manifest.rows())


def test_a_wrong_number_of_rows_is_named(manifest: Manifest) -> None:
    path = edited(manifest, lambda document: document["shards"][0].update(rows=5))
    with pytest.raises(ManifestError, match=r"a.jsonl: rows is 2, and .* says 5"):
        list(read_manifest(path).rows())


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("x.jsonl", b'{"a": 1}\n{"a": \n', "x.jsonl:2: not JSON"),
        ("x.jsonl", b"[1]\n", "x.jsonl:1: a row is an object"),
        ("x.jsonl", b'{"a": ' + b"[" * 100_000, "x.jsonl:1: not JSON"),
        ("x.jsonl", b'{"a": 1}\n\xff\n', "x.jsonl:2: not UTF-8"),
        ("x.bin", b"1", "x.bin: its rows cannot be read"),
    ],
)
def test_a_line_that_is_no_row_is_named(
    tmp_path: Path, name: str, content: bytes, named: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ManifestError, match=named):
        write_manifest(tmp_path / "manifest.json", [tmp_path / name])
    assert not (tmp_path / "manifest.json").exists()


def test_other_files_are_counted_by_the_caller(tmp_path: Path) -> None:
    file = tmp_path / "tokens.bin"
    file.write_bytes(bytes(64))
    manifest = write_manifest(
        tmp_path / "m.json", [file], count=lambda path: path.stat().st_size // 2
    )
    assert manifest.shards[0].rows == 32
    assert manifest.read(manifest.shards[0]) == bytes(64)


def drop(key: str) -> Any:
    return lambda document: document["shards"][1].pop(key)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda document: document.pop("format"), "format: not 'codex-ml-data'"),
        (lambda document: document.update(format_version=9), "format_version: 9"),
        (
            lambda document: document.update(shards=[]),
            r"Expected `array` of length >= 1 - at `\$\.shards`",
        ),
        (drop("rows"), r"missing required field `rows` - at `\$\.shards\[1\]`"),
        (
            lambda d: d["shards"][0].update(path="../x.jsonl"),
            r"path: .* leads out .* at `\$\.shards\[0\]`",
        ),
        (lambda d: d["shards"].append("x"), r"Expected `object`, got `str` - at `\$\.shards\[2\]`"),
    ],
)
def test_a_manifest_that_is_none_is_refused(manifest: Manifest, change: Any, named: str) -> None:
    with pytest.raises(ManifestError, match=named):
        read_manifest(edited(manifest, change))


def test_a_file_outside_and_a_missing_manifest_are_refused(tmp_path: Path) -> None:
    outside = tmp_path / "x.jsonl"
    outside.write_text("{}\n")
    (tmp_path / "sub").mkdir()
    with pytest.raises(ManifestError, match="not below"):
        write_manifest(tmp_path / "sub" / "m.json", [outside])
    with pytest.raises(ManifestError, match=r"none.json: cannot be read \(No such file"):
        read_manifest(tmp_path / "none.json")
    outside.write_text("{")
    with pytest.raises(ManifestError, match="not JSON"):
        read_manifest(outside)
