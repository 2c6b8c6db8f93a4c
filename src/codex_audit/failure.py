"""A failure as text, and what is said of its cause: the records that diagnosis works on."""

from __future__ import annotations

import re
import traceback as traceback_module

import msgspec

# `SomeError: what happened`, at the start of a line or of a part of a tool's last words.
_NAMED = re.compile(
    r"(?:^|\| |\n)\s*(?:E\s+)?(?:[a-zA-Z_]\w*\.)*"
    r"([A-Z]\w*(?:Error|Exception|NotFound)): ([^|\n]+)"
)
_WRAPPERS = frozenset({"ToolCrashedError", "CalledProcessError", "RuntimeError"})


class Failure(msgspec.Struct, frozen=True):
    """An exception as text, also one that came from another process."""

    type: str
    message: str
    traceback: str = ""

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """The failure that `error` is."""
        text = "".join(traceback_module.format_exception(error))
        return cls(type(error).__name__, str(error) or type(error).__name__, text)

    def innermost(self) -> Failure:
        """The failure inside a tool's last words, where this one only wraps them."""
        if self.type not in _WRAPPERS:
            return self
        named = _NAMED.findall(self.message)
        if not named:
            return self
        kind, message = named[-1]
        return Failure(kind, message.strip(), self.traceback)


class Diagnosis(msgspec.Struct, frozen=True):
    """What caused a failure and how to resolve it: one line each."""

    cause: str
    diagnosis: str
    remedy: str
