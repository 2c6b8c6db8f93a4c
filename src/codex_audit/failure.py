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
# What torch puts before the exception of a loader's worker, with that one's own traceback.
_ELSEWHERE = re.compile(r"\.?\nOriginal Traceback \(most recent call last\):\n.*\n", re.DOTALL)
# What torch.load objects to stands after some lines of advice.
_REFUSED = re.compile(
    r"(Weights only load failed).*WeightsUnpickler error: ([^\n]*?)\s*(?:\. |\n|$)", re.DOTALL
)
_LONG = 240  # characters of a message that are shown within a sentence
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
        message = _ELSEWHERE.sub(": ", str(error).rstrip())
        return cls(type(error).__name__, message or type(error).__name__, text)

    @property
    def shown(self) -> str:
        """It in a few words, to stand within a sentence: its type, and what it says if anything."""
        refused = _REFUSED.match(self.message)
        line = (
            f"{refused[1]}: {refused[2]}"
            if refused
            else (self.message.strip() or self.type).splitlines()[0]
        )
        if line == self.type:
            return f"{self.type} (no message)"
        return f"{self.type}: {line[:_LONG]}{' ...' if len(line) > _LONG else ''}"

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
