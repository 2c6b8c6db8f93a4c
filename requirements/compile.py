"""Compile every `*.in` beside this file to a hashed `*.txt`; `--check` only compares.

Both read this project's own dependencies from pyproject.toml, so they are stated once.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
# A package with its hashes, one a line; nvidia-ml-py is the monitoring extra's own.
_OF_TORCH = re.compile(
    r"^(?:torch|triton|cuda-[\w-]+|nvidia-(?!ml-py)[\w-]+)==.*\\\n(?:    --hash=.*\n)+",
    re.MULTILINE,
)
PYPROJECT = HERE.parent / "pyproject.toml"


def compile_lock(source: Path, target: Path) -> None:
    """Compile `source` and the project's dependencies into `target`, keeping what it pins.

    torch and what its CUDA wheels need are left out: torch is a layer of its own.
    """
    subprocess.run(  # noqa: S603 - fixed arguments
        [
            sys.executable, "-m", "piptools", "compile", "--quiet", "--generate-hashes",
            "--strip-extras", "--allow-unsafe", "--no-emit-find-links", "--no-emit-index-url",
            "--no-header", "--no-annotate", "--resolver=backtracking", "--output-file", str(target),
            str(PYPROJECT), str(source),
        ],
        cwd=HERE,
        check=True,
    )  # fmt: skip
    target.write_text(_OF_TORCH.sub("", target.read_text()))


def main(arguments: list[str]) -> int:
    """Compile all, or with `--check` name those that are out of date and return 1."""
    unknown = [argument for argument in arguments if argument not in {"--check", "--upgrade"}]
    if unknown:
        print(f"compile.py: unknown argument {unknown[0]!r}; there are --check and --upgrade")
        return 2
    stale = []
    for source in sorted(HERE.glob("*.in")):
        if source.stem == "build":
            continue
        target = source.with_suffix(".txt")
        old = target.read_text() if target.exists() else ""
        with tempfile.TemporaryDirectory() as scratch:
            fresh = Path(scratch) / target.name
            if old and "--upgrade" not in arguments:
                fresh.write_text(old)
            compile_lock(source, fresh)
            new = fresh.read_text()
        if new != old:
            stale.append(target.name)
            if "--check" not in arguments:
                target.write_text(new)
    verb = "out of date" if "--check" in arguments else "written"
    print(f"{verb}: {', '.join(stale)}" if stale else "all locks are up to date")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
