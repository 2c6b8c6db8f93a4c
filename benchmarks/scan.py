"""How fast a scan is, beside what reads the same files: ratios of one run, side by side.

    python benchmarks/scan.py [TREE ...]

Each tree is read as bytes, checked by `ruff check --no-cache --select F` (which reads and parses
the same files), and scanned: cold (an empty cache) and warm (a cache that knows every file). The
rounds are interleaved and the medians compared, for machines that are not quiet. Memory is the
peak of the proportional set size of all processes of a scan. Trees are the installed torch and
numpy and this repository's own kit where none are given.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from statistics import median

ROUNDS = 3
READ = "import sys\nfor name in sys.stdin.read().split('\\0'):\n    open(name, 'rb').read()\n"


def main() -> int:
    """Print the table; 2 when a tree is not there."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("trees", nargs="*", type=Path)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    trees = options.trees or [
        *(_installed(name) for name in ("torch", "numpy")),
        Path(__file__).parents[1] / "src/codex_ml",
    ]
    print(
        f"{'tree':12} {'files':>6} {'lines':>9}  {'bytes':>6} {'ruff':>6} {'cold':>6} {'warm':>6}"
        "  cold/ruff  warm/ruff  peak MB"
    )
    for tree in trees:
        if not tree.is_dir():
            print(f"{tree}: no such directory", file=sys.stderr)
            return 2
        measure(tree.resolve(), options.rounds)
    return 0


def measure(tree: Path, rounds: int) -> None:
    """Print one line of the table, in seconds."""
    sources = sorted(tree.rglob("*.py"))
    names = "\0".join(map(str, sources)).encode()
    lines = sum(source.read_bytes().count(b"\n") for source in sources)
    ruff = [_program("ruff"), "check", "--isolated", "--no-cache", "--select", "F", "--exit-zero",
            "--quiet", str(tree)]  # fmt: skip
    scan = [sys.executable, "-m", "codex_audit", "scan", str(tree)]
    times: dict[str, list[float]] = {"bytes": [], "ruff": [], "cold": [], "warm": []}
    peak = 0.0
    with tempfile.TemporaryDirectory() as home:
        for _ in range(rounds):
            times["bytes"].append(run([sys.executable, "-c", READ], given=names)[0])
            times["ruff"].append(run(ruff)[0])
            shutil.rmtree(Path(home, "codex-audit"), ignore_errors=True)
            for kind in ("cold", "warm"):
                seconds, used = run(scan, cache=home)
                times[kind].append(seconds)
                peak = max(peak, used)
    middle = {name: median(each) for name, each in times.items()}
    print(
        f"{tree.name:12} {len(sources):6} {lines:9}  {middle['bytes']:6.2f} {middle['ruff']:6.2f}"
        f" {middle['cold']:6.2f} {middle['warm']:6.2f}"
        f"  {middle['cold'] / middle['ruff']:9.1f}  {middle['warm'] / middle['ruff']:9.2f}"
        f"  {peak:7.0f}",
        flush=True,
    )


def run(command: list[str], *, given: bytes = b"", cache: str = "") -> tuple[float, float]:
    """Seconds that a command takes, and the megabytes that it and its children had at most."""
    environment = {**os.environ, **({"XDG_CACHE_HOME": cache} if cache else {})}
    peak = 0.0
    with tempfile.TemporaryFile() as text:
        text.write(given)
        text.seek(0)
        started = time.perf_counter()
        process = subprocess.Popen(  # noqa: S603 - commands of this file
            command, stdin=text, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=environment,
        )  # fmt: skip
        # Memory is only looked at where it is asked for: looking costs time.
        while cache and process.poll() is None:
            peak = max(peak, _megabytes(process.pid))
            time.sleep(0.1)
        code = process.wait()
        seconds = time.perf_counter() - started
    if code:
        raise SystemExit(f"{' '.join(command)} exited with {code}")
    return seconds, peak


def _megabytes(process: int) -> float:
    """The proportional set size of a process and its children, in MB; 0 where it is not told."""
    total = 0.0
    for one in (process, *_children(process)):
        try:
            text = Path(f"/proc/{one}/smaps_rollup").read_text(encoding="ascii")
        except OSError:  # gone, or another platform
            continue
        total += sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return total / 1000


def _children(process: int) -> list[int]:
    try:
        text = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii")
    except OSError:
        return []
    return [int(one) for one in text.split()]


def _program(name: str) -> str:
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise SystemExit(f"{name} is not installed; `pip install codex-audit[lint]`")
    return found


def _installed(name: str) -> Path:
    found = find_spec(name)
    if found is None or found.origin is None:
        raise SystemExit(f"{name} is not installed; give the trees to measure")
    return Path(found.origin).parent


if __name__ == "__main__":
    raise SystemExit(main())
