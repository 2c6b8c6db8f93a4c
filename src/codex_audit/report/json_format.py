"""`status.json`: the whole status document, for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from codex_audit.report.formats import Format

if TYPE_CHECKING:
    from codex_audit.report.document import StatusDocument


def render(document: StatusDocument) -> str:
    """The document as JSON, keys in the order of the record."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


FORMAT = Format("json", "status.json", render)
