"""Scalars in the event files of TensorBoard, read without it.

A file is records of a length, its checksum, a message and its checksum. Of the message only what a
scalar needs is read: `Event.step` (2), `.summary` (5), its values (1), and of each the tag (1),
the plain value (2) or the tensor (8) that newer writers put in its place.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "tfevents"  # a part of the name of every such file
_LENGTH, _CHECKSUM = 8, 4
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5
_STEP, _SUMMARY = 2, 5
_VALUE = 1
_TAG, _PLAIN, _TENSOR = 1, 2, 8
_CONTENT, _FLOATS = 4, 5
_ONE_FLOAT = 4


def scalars(data: bytes, tag: str) -> Iterator[tuple[float, int]]:
    """Values and steps of a tag, in the order in which they were written."""
    for message in _records(data):
        step, summaries = 0, []
        for field, value in _fields(message):
            if field == _STEP and isinstance(value, int):
                step = value
            elif field == _SUMMARY and isinstance(value, bytes):
                summaries.append(value)
        for summary in summaries:
            for field, value in _fields(summary):
                if field == _VALUE and isinstance(value, bytes):
                    number = _scalar(value, tag)
                    if number is not None:
                        yield number, step


def _records(data: bytes) -> Iterator[bytes]:
    place = 0
    while place + _LENGTH + _CHECKSUM <= len(data):
        (length,) = struct.unpack_from("<Q", data, place)
        place += _LENGTH + _CHECKSUM
        if place + length + _CHECKSUM > len(data):  # still being written
            return
        yield data[place : place + length]
        place += length + _CHECKSUM


def _scalar(value: bytes, tag: str) -> float | None:
    told = dict(_fields(value))
    if told.get(_TAG) != tag.encode():
        return None
    number = told.get(_PLAIN)
    tensor = told.get(_TENSOR)
    if isinstance(tensor, bytes):
        within = dict(_fields(tensor))
        number = within.get(_FLOATS, within.get(_CONTENT))
    if not isinstance(number, bytes) or len(number) != _ONE_FLOAT:
        return None
    return float(struct.unpack("<f", number)[0])


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        kind = key & 7
        if kind == _VARINT:
            number, place = _varint(message, place)
            yield key >> 3, number
            continue
        length = {_EIGHT: 8, _FOUR: 4}.get(kind, 0)
        if kind == _BYTES:
            length, place = _varint(message, place)
        elif not length:  # no message of this form
            return
        yield key >> 3, message[place : place + length]
        place += length


def _varint(message: bytes, place: int) -> tuple[int, int]:
    number = shift = 0
    while place < len(message):
        byte = message[place]
        number |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:  # noqa: PLR2004 - the bit that says that more follow
            break
    return number, place
