"""Programs in processes of their own, without a network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

NOWHERE = "http://127.0.0.1:9"


@cache
def without_network() -> tuple[str, ...]:
    """What runs a command in a network namespace with no interface, where the system allows it."""
    prefix = ("unshare", "--user", "--map-root-user", "--net")
    if shutil.which("unshare") is None:
        return ()
    tried = subprocess.run([*prefix, "true"], capture_output=True, check=False)
    return prefix if tried.returncode == 0 else ()


def run_alone(
    program: str, directory: Path, *arguments: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run `program` in `directory`, offline: no interface, or else no way out but a dead proxy."""
    kept = {
        k: v for k, v in os.environ.items() if not k.startswith(("WANDB_", "MLFLOW_", "CODEX_"))
    }
    environment = {
        **kept, "HOME": str(directory), "http_proxy": NOWHERE, "https_proxy": NOWHERE,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), **variables,
    }  # fmt: skip
    return subprocess.run(
        [*without_network(), sys.executable, "-c", program, *arguments], cwd=directory,
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
