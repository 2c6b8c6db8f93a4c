"""Registers the gates as sessions of anyone's noxfile; installed beside nox.

    from codex_audit.sessions import register

    register()

Each session installs `codex-audit[<extra>]`, the project where its gate needs it, and calls
`codex-audit gate NAME`. Under `nox --no-venv` nothing is installed: the gates use what is there.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from contextlib import contextmanager
from importlib.metadata import distribution
from pathlib import Path
from typing import IO, TYPE_CHECKING

import nox
from nox.command import CommandFailed

from codex_audit.causes.imports import SESSION
from codex_audit.gates.base import all_gates
from codex_audit.installed import installed_from
from codex_audit.report.outcomes import NOT_INSTALLED
from codex_audit.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from codex_audit.gates.base import Gate

# What a gate's environment needs besides the core, and whether it runs the project's own code.
EXTRAS = {
    "lint": ("lint", False),
    "type": ("type", True),
    "security": ("security", False),
    "tests": ("tests", True),
    "tokenizer": ("tokenizer", True),
    "trainer-smoke-cpu": ("trainer", True),
    "trainer-smoke-cuda": ("trainer", True),
}


def register(
    root: Path | None = None,
    *,
    source: str | None = None,
    project: Sequence[str] = ("-e", "."),
    requirements: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Register a session for each gate of the settings, `audit-report`, and `audit`.

    Args:
        root: the repository; the noxfile's directory, which nox makes current, by default.
        source: the requirement that installs this package, without extras; by default what it
            was installed from beside nox.
        project: what installs the project, for the gates that run its code; empty for nothing.
        requirements: gate -> further requirements of its session.
    """
    settings = load_settings(root or Path.cwd())
    source = source or installed_from()
    gates = all_gates()
    nox.options.default_venv_backend = "uv|virtualenv"
    nox.options.reuse_venv = "yes"
    for name in settings.gates:
        session = _gate_session(gates[name], source, project, (requirements or {}).get(name, ()))
        nox.session(name=name, tags=["gate"], default=False, allow_parallel=True)(session)
    nox.session(name="audit-report", default=False)(_report_session(source))
    nox.session(name="audit", venv_backend="none")(_audit)


def _gate_session(
    gate: Gate, source: str, project: Sequence[str], further: Sequence[str]
) -> Callable[[nox.Session], None]:
    extra, runs_code = EXTRAS.get(gate.name, ("", False))

    def session(session: nox.Session) -> None:
        outcomes = Path(load_settings(Path.cwd()).out, "outcomes")
        # No old outcome stays where the installation fails.
        (outcomes / f"{gate.name}.json").unlink(missing_ok=True)
        said = outcomes / f"{gate.name}{NOT_INSTALLED}"
        with _kept_if_it_fails(said) as stream:
            arguments = (*(project if runs_code else ()), *further)
            _install(session, _with_extra(source, extra), *arguments, stdout=stream)
        session.run("codex-audit", "gate", gate.name, *session.posargs, env={SESSION: gate.name})

    session.__doc__ = f"{gate.title}."
    return session


def _report_session(source: str) -> Callable[[nox.Session], None]:
    def session(session: nox.Session) -> None:
        """Merge the gates' outcomes with a static audit into one status document."""
        _install(session, source, stdout=None)
        session.run("codex-audit", "report", *session.posargs)

    return session


def _audit(session: nox.Session) -> None:
    """Run every gate, then report, also after failures; exit 0 only if all required passed.

    Arguments after -- name the gates to run.
    """
    settings = load_settings(Path.cwd())
    unknown = [name for name in session.posargs if name not in settings.gates]
    if unknown:
        session.error(f"no gate {unknown[0]!r}; the settings have {', '.join(settings.gates)}")
    # No document of an earlier run may be taken for one of this.
    Path(settings.out, "STATUS.md").unlink(missing_ok=True)
    chosen = ["-s", *session.posargs] if session.posargs else ["-t", "gate"]
    inner = [sys.executable, "-m", "nox", "--no-error-on-external-run"]
    inner += ["--no-venv"] if "--no-venv" in sys.argv else []
    jobs = str(min(os.cpu_count() or 1, 4))
    session.run(*inner, "-j", jobs, *chosen, external=True, success_codes=range(-64, 256))
    session.run(*inner, "-s", "audit-report", external=True)


@contextmanager
def _kept_if_it_fails(path: Path) -> Iterator[IO[str]]:
    """A file for what an installation says: shown and left for the report only where it fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stream = path.open("w+", encoding="utf-8", errors="replace")
    try:
        with stream:
            yield stream
    except CommandFailed:
        sys.stderr.write(path.read_text(encoding="utf-8", errors="replace"))
        raise
    except BaseException:
        path.unlink()
        raise
    path.unlink()


def _install(session: nox.Session, *arguments: str, stdout: IO[str] | None) -> None:
    """Install, unless the environment already holds just that: a second run needs no network."""
    if not session.virtualenv.is_sandboxed:
        return
    keep_bytecode(session)
    project = Path("pyproject.toml")
    contents = project.read_bytes() if project.is_file() else b""
    # What was installed anew beside nox, perhaps under the same version, is installed anew here.
    own = distribution("codex-audit").read_text("RECORD") or ""
    wanted = hashlib.sha256("\0".join((*arguments, own)).encode() + contents).hexdigest()
    stamp = Path(session.virtualenv.location) / "codex-audit-installed"
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    stamp.unlink(missing_ok=True)
    if session.venv_backend == "uv":
        arguments = ("--reinstall-package", "codex-audit", *arguments)
    # uv does not read pip's variable, through which local wheels are found.
    links = (
        {"UV_FIND_LINKS": os.environ["PIP_FIND_LINKS"]} if "PIP_FIND_LINKS" in os.environ else {}
    )
    silent = None if stdout is None else False  # nox refuses both
    session.install(*arguments, env=links, stdout=stdout, silent=silent)
    stamp.write_text(wanted)


def keep_bytecode(session: nox.Session) -> None:
    """Where bytecode may not lie beside sources, as in images, keep it with the environment.

    uv compiles nothing, and every process of a gate would compile torch anew, for seconds. What
    lies in the directory for temporary files is compiled, but not kept.
    """
    if os.environ.get("PYTHONDONTWRITEBYTECODE"):
        kept = Path(session.virtualenv.location) / "bytecode"
        session.env.update(PYTHONDONTWRITEBYTECODE="", PYTHONPYCACHEPREFIX=str(kept))
        shutil.rmtree(kept / tempfile.gettempdir().lstrip("/"), ignore_errors=True)


def _with_extra(source: str, extra: str) -> str:
    """`name==1` with an extra is `name[extra]==1`; `name @ address` likewise."""
    end = next((index for index, mark in enumerate(source) if mark in " =<>~!@["), len(source))
    return f"{source[:end]}[{extra}]{source[end:]}" if extra else source
