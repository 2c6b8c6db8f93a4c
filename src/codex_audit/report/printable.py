"""Text that every format can hold, also of file names that are not UTF-8."""

from __future__ import annotations

import msgspec

from codex_audit.records import Scan


def printable(scan: Scan) -> Scan:
    r"""The scan with each undecodable byte of a file name shown as an escape, `\udcNN`.

    Python keeps such a byte as a lone surrogate, which no UTF-8 file can hold: one odd name
    would leave a repository without any document.
    """
    try:
        msgspec.json.encode(scan)
    except UnicodeEncodeError:
        return msgspec.convert(_clean(msgspec.to_builtins(scan)), Scan)
    return scan


def _clean(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_clean(key): _clean(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(each) for each in value]
    return value
