"""The inside of a child process: its import path, its report, and its end with its parent."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_PR_SET_PDEATHSIG = 1


def serve(
    job: Callable[[dict[str, Any], Callable[[Mapping[str, Any]], None]], None],
    *,
    nursed: bool = False,
) -> None:
    """Run `job(spec, report)` with the specification that the command line names.

    The audited repository, and its `src` if there is one, come first on the import path, as
    its own scripts would see it. What `job` reports is written whole or not at all; an
    exception, or an attempt to exit, becomes the report. `nursed` says that a nursery forked
    this process, and has seen to its import path. An exception is added to what was reported
    before it.
    """
    spec: dict[str, Any] = json.loads(Path(sys.argv[1]).read_bytes())
    del sys.argv[1:]  # the subject may read its own arguments
    root = Path(spec["root"])
    if nursed:
        die_with(os.getppid())
    else:
        die_with(spec["parent"])
        extend_path(root)
    result = Path(spec["result"])
    told: dict[str, Any] = {}

    def report(value: Mapping[str, Any]) -> None:
        told.update(value)
        partial = result.with_suffix(".partial")
        partial.write_text(json.dumps(value), encoding="utf-8")
        partial.replace(result)

    try:
        job(spec, report)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, it is reported
        failure = {
            "type": type(error).__name__,
            "message": str(error) or type(error).__name__,
            "traceback": "".join(traceback.format_exception(error)),
        }
        report({**told, "error": failure})


def place_of(thing: object, root: Path) -> dict[str, Any] | None:
    """Where a function is defined, as evidence; None outside the audited tree."""
    code = getattr(thing, "__code__", None)
    if code is None:
        return None
    path = Path(code.co_filename)
    if not in_tree(path, root):
        return None
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    line = code.co_firstlineno
    return {
        "path": path.relative_to(root).as_posix(),
        "line": line,
        "snippet": lines[line - 1].strip() if line <= len(lines) else "",
    }


def in_tree(path: Path, root: Path) -> bool:
    """Whether `path` belongs to the audited repository, not to an environment inside it."""
    if not path.is_relative_to(root):
        return False
    prefix = Path(sys.prefix)
    installed = prefix.is_relative_to(root) and path.is_relative_to(prefix)
    return not installed and "site-packages" not in path.relative_to(root).parts


def extend_path(root: Path) -> None:
    """Put the audited repository, and its `src`, first on the import path."""
    sys.path[:0] = [str(path) for path in (root, root / "src") if path.is_dir()]


def die_with(parent: int) -> None:
    """End this process when its parent ends, however that happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before that took effect
        sys.exit("the gate that started this process is gone")
