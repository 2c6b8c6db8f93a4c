"""New processes without the seconds of importing torch: forked from one that has done only that.

`python -m codex_audit.proofs.nursery SPEC` imports libraries, never the subject, and then forks
a child for each line it reads. Such a child differs from a new process in nothing that a subject
could notice: it has no thread, no CUDA context, and generators as a new process has them.
"""

from __future__ import annotations

import atexit
import importlib
import importlib.util
import json
import os
import random
import select
import signal
import sys
import threading
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from codex_audit.proofs import child

_TICK = 0.02
_INSTALLED = {"site-packages", "dist-packages"}
# Worth a second or more each. Whatever else a subject imports, it imports itself, unless that
# takes long; it is then imported here if a child in which that was tried has come to no harm.
FIRST = ("torch", "numpy", "torch._dynamo")
HEAVY = (
    *FIRST,
    "torchvision",
    "transformers",
    "transformers.trainer",
    "accelerate",
    "lightning.pytorch",
    "pytorch_lightning",
    "torchmetrics",
)


def heavy_modules(root: Path) -> list[str]:
    """Those of `HEAVY` that this process has imported, unless the audited tree has its own."""
    found = []
    for name in HEAVY:
        module = sys.modules.get(name)
        file = getattr(module, "__file__", None)
        if file is not None and not child.in_tree(Path(file), root):
            found.append(name)
    return found


def slow_modules(before: set[str], root: Path) -> list[str]:
    """Modules of installed libraries that came after `before`, in the order of their imports."""
    found = []
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file is None or name in before or child.in_tree(Path(file), root):
            continue
        if _INSTALLED.intersection(Path(file).parts):
            found.append(name)
    return found


def main() -> None:
    """Serve requests, one JSON object a line, until standard input ends.

    A request is `{"import": [modules]}`, `{"try": [modules]}` or `{"name", "module", "spec",
    "log"}`. To the last "started NAME PID" is answered, and later "ended NAME CODE".
    """
    spec: dict[str, Any] = json.loads(Path(sys.argv[1]).read_bytes())
    child.die_with(spec["parent"])
    root = Path(spec["root"])
    child.extend_path(root)
    running: dict[int, str] = {}
    waiting = b""
    while True:
        if select.select([0], [], [], _TICK)[0]:
            data = os.read(0, 65536)
            if not data:
                return
            *lines, waiting = (waiting + data).split(b"\n")
            for line in lines:
                _serve(json.loads(line), running, root)
        _reap(running)


def _serve(request: dict[str, Any], running: dict[int, str], root: Path) -> None:
    if "import" in request:
        for name in request["import"]:
            _preload(name, root)
        return
    if "try" in request:
        if _harmless(request["try"]):
            for name in request["try"]:
                importlib.import_module(name)
        return
    pid = os.fork()
    if pid == 0:
        _become(request)
    running[pid] = request["name"]
    _say(f"started {request['name']} {pid}")


def _preload(name: str, root: Path) -> None:
    """Import a library, unless the audited tree hides it behind a module of its own."""
    found = importlib.util.find_spec(name.partition(".")[0])
    if found is None or found.origin is None or child.in_tree(Path(found.origin), root):
        return
    with suppress(ImportError):  # the subject's own import of it will say why
        importlib.import_module(name)


def _harmless(names: list[str]) -> bool:
    """Whether a child that imports them has no thread, and generators as before."""
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1] == 0
    try:
        states = _states()
        for name in names:
            importlib.import_module(name)
        alone = len(list(Path("/proc/self/task").iterdir())) == 1
        os._exit(not (alone and _states() == states))
    except BaseException:  # noqa: BLE001 - the subject's own import of it will say why
        os._exit(1)


def _states() -> str:
    """Of torch's generator, which no child seeds anew."""
    torch = sys.modules.get("torch")
    return "" if torch is None else str(torch.get_rng_state().tolist())


def _reap(running: dict[int, str]) -> None:
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        _say(f"ended {running.pop(pid)} {os.waitstatus_to_exitcode(status)}")


def _say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


def _become(request: dict[str, Any]) -> None:
    """Be the child: its own group, log and generators; never returns."""
    code = 1
    try:
        os.setsid()
        log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        null = os.open(os.devnull, os.O_RDONLY)
        for target, source in ((0, null), (1, log), (2, log)):
            os.dup2(source, target)
        signal.set_wakeup_fd(-1)
        _fresh_generators()
        os.environ.update(request.get("environment", {}))
        sys.argv = [request["module"], request["spec"]]
        child.serve(importlib.import_module(request["module"]).job, nursed=True)
        code = 0
        _end_as_python_does()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - it goes into the log, which the gate shows
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)


def _end_as_python_does() -> None:
    """Wait for threads, one that still writes a checkpoint too, and call what is registered."""
    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 - what the interpreter calls
    atexit._run_exitfuncs()  # noqa: SLF001 - as above


def _fresh_generators() -> None:
    """As in a new process: Python's and NumPy's from the system, torch's at its default."""
    random.seed()
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()


if __name__ == "__main__":
    main()
