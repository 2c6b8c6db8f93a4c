"""Reading files that anybody may have made: regular files only, never blocking, never endless."""

from __future__ import annotations

import codecs
import errno
import os
import re
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# Above this, content is data rather than source: it is not read.
LARGE = 16 * 1024 * 1024
# O_NONBLOCK: opening a FIFO must not wait for a writer. Not every platform has all of them.
_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)
SNIPPET_LIMIT = 160
_COOKIE = re.compile(rb"[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
# Decoding these takes time that grows with the square of the text; no source is written in them.
_SLOW_CODECS = frozenset({"punycode", "idna"})
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# What would break a line, a table or a terminal when it is shown; tabs are harmless.
_UNSHOWN = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_ESCAPES = {"\n": r"\n", "\r": r"\r", "\t": r"\t", "\\": r"\\"}


def read_regular(path: Path | str, *, part: int | None = None) -> bytes:
    """The bytes of a regular file; a symbolic link is not followed, a FIFO not waited for.

    With `part`, at most so many bytes of its start, however large it is.

    Raises:
        OSError: it cannot be read, is no regular file, or has more than `LARGE` bytes.
    """
    try:
        descriptor = os.open(path, _FLAGS)
    except ValueError as error:  # a NUL in the name
        raise OSError(errno.EINVAL, str(error), str(path)) from error
    with open(descriptor, "rb", buffering=0) as stream:  # noqa: PTH123 - a descriptor, not a path
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        if part is not None:
            return stream.read(part)
        # A file can grow while it is read, and those of /proc have no size.
        parts, left = [], LARGE + 1
        while left > 0 and (some := stream.read(min(left, 1 << 20))):
            parts.append(some)
            left -= len(some)
    if left <= 0:
        raise OSError(errno.EFBIG, f"larger than {LARGE} bytes", str(path))
    return b"".join(parts)


def shown_path(name: str) -> str:
    r"""A path as it can be printed: bytes that are not UTF-8, control characters and `\\` escaped.

    No two paths are shown alike.
    """
    if name.isprintable() and "\\" not in name:
        return name
    return "".join(
        character if character.isprintable() and character != "\\" else _escaped(character)
        for character in name
    )


def shown_text(text: str) -> str:
    """Text without characters that break lines, move a cursor or turn the reading direction."""
    return _UNSHOWN.sub("\N{REPLACEMENT CHARACTER}", text)


def snippet_of(line: str) -> str:
    """A line of source as it is shown."""
    return shown_text(line.strip()[:SNIPPET_LIMIT])


def text_lines(text: str) -> list[str]:
    """The lines of a text as editors and parsers count them: a form feed ends none."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return lines


def plain_utf8(source: bytes) -> bytes:
    """The text of a file without its byte order mark, UTF-16 as UTF-8; anything else as it is."""
    if source.startswith(_UTF16):
        return source.decode("utf-16", "replace").encode("utf-8", "replace")
    return source.removeprefix(codecs.BOM_UTF8)


def python_utf8(source: bytes) -> bytes:
    """Python source as UTF-8, by the encoding that its first two lines declare (PEP 263).

    Raises:
        SyntaxError: the encoding is unknown, or the text is not in it.
    """
    if source.startswith(codecs.BOM_UTF8):
        return source.removeprefix(codecs.BOM_UTF8)
    first, _, rest = source[:2000].partition(b"\n")
    found = _COOKIE.match(first)
    if found is None and (not first.strip() or first.lstrip().startswith(b"#")):
        found = _COOKIE.match(rest.partition(b"\n")[0])
    if found is None:
        return source
    name = found.group(1).decode("ascii", "replace")
    try:
        codec = codecs.lookup(name).name
        if codec == "utf-8":
            return source
        if codec in _SLOW_CODECS:
            raise SyntaxError(f"encoding {name!r} is not for source")
        return source.decode(codec).encode()
    except (LookupError, ValueError) as error:
        raise SyntaxError(f"encoding problem: {error}") from error


def text_of(path: str, source: bytes) -> str:
    """The text of a file for showing it; what cannot be decoded is replaced."""
    if path.endswith((".py", ".pyi")):
        try:
            return python_utf8(source).decode("utf-8", "replace")
        except SyntaxError:
            return source.decode("utf-8", "replace")
    return plain_utf8(source).decode("utf-8", "replace")


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # noqa: PLR2004 - how Python keeps a byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return _ESCAPES.get(character) or (f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")  # noqa: PLR2004
