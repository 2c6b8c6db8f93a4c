"""Losses in event files of TensorBoard, whose bytes are made here by hand."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from codex_audit.proofs.trainer.commands.events import scalars
from codex_audit.proofs.trainer.commands.losses import Logged, Reader, where_of
from codex_audit.settings import LossFile

if TYPE_CHECKING:
    from pathlib import Path


def held(field: int, content: bytes) -> bytes:
    return bytes([field << 3 | 2, len(content)]) + content


def record(message: bytes) -> bytes:
    return struct.pack("<QI", len(message), 7) + message + struct.pack("<I", 7)


def event(step: int, *values: bytes) -> bytes:
    """A time, a step of two bytes, and a summary."""
    number = bytes([2 << 3, step & 0x7F | 0x80, step >> 7])
    summary = b"".join(held(1, value) for value in values)
    return record(bytes([1 << 3 | 1]) + struct.pack("<d", 1.7e9) + number + held(5, summary))


def plain(tag: str, value: float) -> bytes:
    return held(1, tag.encode()) + bytes([2 << 3 | 5]) + struct.pack("<f", value)


def tensor(tag: str, value: float, field: int) -> bytes:
    return held(1, tag.encode()) + held(
        8, bytes([1 << 3, 1]) + held(field, struct.pack("<f", value))
    )


HEAD = record(held(3, b"brain.Event:2"))


def test_scalars_of_a_tag_with_their_steps() -> None:
    data = HEAD + event(1, plain("lr", 9.0), plain("train/loss", 2.5))
    data += event(300, tensor("train/loss", 1.5, 5)) + event(301, tensor("train/loss", 0.5, 4))
    data += event(302, held(1, b"train/loss") + held(7, b"a picture"))
    assert list(scalars(data, "train/loss")) == [(2.5, 1), (1.5, 300), (0.5, 301)]
    assert list(scalars(data, "loss")) == []


def test_a_record_that_is_being_written_is_left_for_later() -> None:
    whole = HEAD + event(1, plain("a", 2.0))
    assert all(list(scalars(whole[:end], "a")) == [] for end in range(len(whole)))
    assert list(scalars(whole + b"x", "a")) == [(2.0, 1)]


def test_a_resumed_process_has_a_file_of_its_own(tmp_path: Path) -> None:
    where = where_of(LossFile(file="{dir}/**/events.out.tfevents.*", key="a"))
    assert where is not None
    assert where.tells_steps
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "events.out.tfevents.1.host").write_bytes(HEAD + event(1, plain("a", 2.0)))
    reader = Reader(where, tmp_path)
    (tmp_path / "run" / "events.out.tfevents.2.host").write_bytes(HEAD + event(2, plain("a", 1.0)))
    reader.finish()
    assert reader.found == [Logged(1.0, 2)]
