"""Which errors say by themselves what to do, so that a program may show them as one line."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable


def is_worded(error: Exception) -> bool:
    """Whether `error` is for the user of a program; any other is a fault, and needs its traceback.

    Those are the kit's own, the system's about a file, and packages that are not installed.
    """
    if isinstance(error, OSError):
        return error.filename is not None
    return isinstance(error, ModuleNotFoundError) or type(error).__module__.startswith("codex_ml.")


def exit_code(main: Callable[[], int]) -> int:
    """Run `main`: what it returns, or 2 for an error, so that 1 is always a verdict.

    An error that is worded is shown as one line on stderr, any other with its traceback.
    """
    try:
        return main()
    except BrokenPipeError:
        # Whoever read the output has had enough; the interpreter must not flush what is left
        # (https://docs.python.org/3/library/signal.html#note-on-sigpipe).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001 - shown, and what a program ends with
        if is_worded(error):
            told = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else error
            print(f"error: {told}", file=sys.stderr)
        else:
            traceback.print_exc()
        return 2
