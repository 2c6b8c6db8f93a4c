# /// script
# requires-python = ">=3.11"
# dependencies = ["nox[uv]>=2026.8"]
# ///
"""The sessions: `nox -s audit` runs every gate and merges them; each gate also runs alone.

A gate session installs its own locked requirements, calls `codex-audit gate NAME`, and leaves
one outcome file in `.audit/outcomes`. Arguments after `--` go to the gate.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import IO

import nox
from nox.command import CommandFailed

nox.needs_version = ">=2026.8"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
nox.options.error_on_missing_interpreters = True

ROOT = Path(__file__).parent
REQUIREMENTS = ROOT / "requirements"
OUTCOMES = ROOT / ".audit" / "outcomes"
# uv does not read pip's variable; a local wheel of torch is found through it.
LINKS = {"UV_FIND_LINKS": os.environ["PIP_FIND_LINKS"]} if "PIP_FIND_LINKS" in os.environ else {}


def prepare(
    session: nox.Session, lock: str, *, torch: bool = False, stdout: IO[str] | None = None
) -> None:
    """Install `requirements/<lock>.txt` and this project, unless the environment holds just that.

    torch is a layer of its own, without hashes, so that a CPU or local wheel can satisfy it.
    """
    layers = [REQUIREMENTS / f"{lock}.txt", *([REQUIREMENTS / "torch.txt"] if torch else [])]
    contents = b"".join(path.read_bytes() for path in (*layers, ROOT / "pyproject.toml"))
    wanted = hashlib.sha256(contents).hexdigest()
    keep_bytecode(session)
    stamp = Path(session.virtualenv.location) / "codex-audit-installed"
    if stamp.is_file() and stamp.read_text() == wanted:
        session.debug(f"{lock}: nothing to install")
        return
    stamp.unlink(missing_ok=True)
    install = partial(session.install, stdout=stdout, silent=False if stdout else None)
    install("--require-hashes", "--no-deps", "-r", str(layers[0]))
    for layer in layers[1:]:
        install("-r", str(layer), env=LINKS)
    install("--no-build-isolation", "--no-deps", "-e", ".")
    stamp.write_text(wanted)


def keep_bytecode(session: nox.Session) -> None:
    """Where bytecode may not lie beside sources, as in images, keep it with the environment.

    uv compiles nothing, and every process of a gate would compile torch anew, for seconds.
    """
    if os.environ.get("PYTHONDONTWRITEBYTECODE"):
        kept = Path(session.virtualenv.location) / "bytecode"
        session.env.update(PYTHONDONTWRITEBYTECODE="", PYTHONPYCACHEPREFIX=str(kept))
        shutil.rmtree(kept / tempfile.gettempdir().lstrip("/"), ignore_errors=True)


def gate(session: nox.Session, *, torch: bool = False) -> None:
    """Run the gate that the session is named for; whatever happens, no old outcome stays."""
    name = session.name.split("-3.")[0]
    OUTCOMES.mkdir(parents=True, exist_ok=True)
    (OUTCOMES / f"{name}.json").unlink(missing_ok=True)
    # The report says why a gate did not run by what its installation said.
    said = OUTCOMES / f"{name}.not-installed.txt"
    try:
        with said.open("w+") as stream:
            prepare(session, name, torch=torch, stdout=stream)
    except CommandFailed:
        sys.stderr.write(said.read_text())
        raise
    except BaseException:
        said.unlink()
        raise
    said.unlink()
    session.run("codex-audit", "gate", name, *session.posargs)


@nox.session(tags=["gate"], default=False, allow_parallel=True)
def lint(session: nox.Session) -> None:
    """Check style and format with ruff."""
    gate(session)


@nox.session(name="type", tags=["gate"], default=False, allow_parallel=True)
def type_(session: nox.Session) -> None:
    """Check types with mypy --strict, the project's own dependencies beside it."""
    gate(session, torch=True)


@nox.session(tags=["gate"], default=False, allow_parallel=True)
def security(session: nox.Session) -> None:
    """Look for vulnerable code with bandit, semgrep's local rules and hadolint, offline."""
    gate(session)


@nox.session(tags=["gate"], default=False, allow_parallel=True)
def tests(session: nox.Session) -> None:
    """Run the test suite with coverage; arguments after -- go to pytest."""
    gate(session, torch=True)


@nox.session(tags=["gate"], default=False, allow_parallel=True)
def tokenizer(session: nox.Session) -> None:
    """Put the tokenizer on trial: round trip, batches, padding, saving and loading."""
    gate(session)


@nox.session(name="trainer-smoke-cpu", tags=["gate"], default=False, allow_parallel=True)
def trainer_smoke_cpu(session: nox.Session) -> None:
    """Train on a tiny task, kill the run, resume it in a new process, compare the bits."""
    gate(session, torch=True)


@nox.session(name="trainer-smoke-cuda", tags=["gate"], default=False, allow_parallel=True)
def trainer_smoke_cuda(session: nox.Session) -> None:
    """Do the same on CUDA; skipped without a device, failed without one under -- --require."""
    gate(session, torch=True)


@nox.session(name="audit-report", default=False)
def audit_report(session: nox.Session) -> None:
    """Merge the gates' outcomes with a static audit of the tree into one status document."""
    prepare(session, "audit-report")
    session.run("codex-audit", "report", *session.posargs)


@nox.session(venv_backend="none")
def audit(session: nox.Session) -> None:
    """Run every gate in parallel, then report, also after failures; exit 0 only if all passed.

    Arguments after -- name the gates to run; the others are then NOT RUN or keep an outcome
    that is still of this tree.
    """
    inner = [
        sys.executable,
        "-m",
        "nox",
        "-f",
        str(ROOT / "noxfile.py"),
        "--no-error-on-external-run",
    ]
    gates = {path.stem for path in REQUIREMENTS.glob("*.in")} - {"build", "audit-report"}
    unknown = [name for name in session.posargs if name not in gates]
    if unknown:
        session.error(f"no gate {unknown[0]!r}; `nox -l` lists them")
    chosen = ["-s", *session.posargs] if session.posargs else ["-t", "gate"]
    # No document and no outcome of an earlier run may be taken for one of this.
    for old in [*OUTCOMES.parent.glob("STATUS.md"), *OUTCOMES.glob("*.json")]:
        if old.parent != OUTCOMES or not session.posargs or old.stem in session.posargs:
            old.unlink()
    jobs = str(min(os.cpu_count() or 1, 4))
    # Red gates are the report's business; it alone decides how this session ends.
    session.run(*inner, "-j", jobs, *chosen, external=True, success_codes=range(-64, 256))
    session.run(*inner, "-s", "audit-report", external=True)


@nox.session(default=False)
def lock(session: nox.Session) -> None:
    """Recompile requirements/*.txt from *.in; with -- --check only say which are out of date."""
    session.install("pip-tools>=7.5")
    session.run("python", str(REQUIREMENTS / "compile.py"), *session.posargs)


@nox.session(default=False)
def docs(session: nox.Session) -> None:
    """Write the generated reference pages; with -- --check only say which are out of date."""
    prepare(session, "audit-report")
    session.run("python", str(ROOT / "docs" / "generate.py"), *session.posargs)
