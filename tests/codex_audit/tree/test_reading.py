from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from codex_audit.tree import reading
from codex_audit.tree.reading import (
    plain_utf8,
    python_utf8,
    read_regular,
    shown_path,
    shown_text,
    text_lines,
    text_of,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_a_regular_file_is_read_whole_or_in_part(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abcdef")
    assert read_regular(tmp_path / "a") == b"abcdef"
    assert read_regular(tmp_path / "a", part=3) == b"abc"


@pytest.mark.parametrize("kind", ["fifo", "socket", "link", "directory", "missing"])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(path))
    elif kind == "link":
        (tmp_path / "target").write_text("secret")
        path.symlink_to("target")
    elif kind == "directory":
        path.mkdir()
    with pytest.raises(OSError, match=r"."):
        read_regular(path)


def test_a_very_large_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LARGE", 10)
    (tmp_path / "a").write_bytes(b"x" * 10)
    assert len(read_regular(tmp_path / "a")) == 10
    (tmp_path / "a").write_bytes(b"x" * 11)
    with pytest.raises(OSError, match="larger than 10 bytes"):
        read_regular(tmp_path / "a")


def test_paths_are_shown_without_what_cannot_be_printed_and_never_alike() -> None:
    names = {
        "a/b.py": "a/b.py", "caf\udce9.py": r"caf\xe9.py", "caf\\xe9.py": r"caf\\xe9.py",
        "new\nline": r"new\nline", "\x1b[31m": r"\u001b[31m", "café.py": "café.py",
    }  # fmt: skip
    assert {name: shown_path(name) for name in names} == names
    assert len(set(names.values())) == len(names)


def test_text_is_shown_without_what_breaks_lines_or_turns_them() -> None:
    assert shown_text("a\tb\x1b[2J\u202ec\u2028d") == "a\tb\ufffd[2J\ufffdc\ufffdd"


def test_lines_are_those_that_parsers_count() -> None:
    assert text_lines("a\x0cb\u2028\nc\r\nd\re") == ["a\x0cb\u2028", "c", "d", "e"]
    assert text_lines("") == []


def test_byte_order_marks() -> None:
    assert plain_utf8(b"\xef\xbb\xbfa") == b"a"
    assert plain_utf8("torch\n".encode("utf-16")) == b"torch\n"
    assert python_utf8(b"\xef\xbb\xbfx = 1") == b"x = 1"


def test_python_is_decoded_as_it_declares() -> None:
    latin = b"#!/usr/bin/python\n# -*- coding: latin-1 -*-\nx = '\xe9'\n"
    assert python_utf8(latin).endswith("x = 'é'\n".encode())
    assert text_of("a.py", latin).endswith("x = 'é'\n")
    plain = b"x = 1\n\n# coding: latin-1, but too late\n"
    assert python_utf8(plain) is plain


@pytest.mark.parametrize("name", ["nope", "rot13", "punycode", "idna"])
def test_encodings_that_are_none_for_source(name: str) -> None:
    source = f"# coding: {name}\nx = 1\n".encode()
    with pytest.raises(SyntaxError, match="encoding"):
        python_utf8(source)
    assert text_of("a.py", source).startswith("# coding")
