"""Each known cause is recognised, and what only looks like it is not."""

from __future__ import annotations

import ast
from importlib.metadata import version
from pathlib import Path

import pytest

from codex_audit.causes import imports, installation, processes, resources
from codex_audit.causes.installation import installation_failure
from codex_audit.diagnosis import MATCHERS, Failure, capture, diagnose
from codex_audit.gates.runner import GateEndedError, GateTimeoutError
from codex_audit.gates.tool import (
    ToolCrashedError,
    ToolKilledError,
    ToolMissingError,
    ToolTimeoutError,
)

# A package that these tests need themselves, so that it is installed wherever they run.
INSTALLED = "msgspec"
RELEASE = version(INSTALLED)


@pytest.mark.parametrize(
    ("kind", "message", "cause", "word"),
    [
        ("AssertionError", "Torch not compiled with CUDA enabled", "missing CUDA device", "CUDA"),
        (
            "RuntimeError",
            "Found no NVIDIA driver on your system. Please check",
            "missing CUDA device",
            "GPU",
        ),
        (
            "RuntimeError",
            "Attempting to deserialize on a CUDA device but torch.cuda.is_available() is False",
            "missing CUDA device",
            "map_location",
        ),
        (
            "RuntimeError",
            "CUDA error: invalid device ordinal",
            "missing CUDA device",
            "GPU",
        ),
        ("ImportError", "libx.so: undefined symbol: _ZN3c10", "version conflict", "compiled"),
        (
            "ValueError",
            "numpy.dtype size changed, may indicate binary incompatibility.",
            "version conflict",
            "lock file",
        ),
        (
            "ImportError",
            "tokenizers<0.22 is required for a normal functioning of this module, but found 0.23",
            "version conflict",
            "pin it",
        ),
        (
            "ImportError",
            f"cannot import name 'gone' from '{INSTALLED}' (/env/site-packages/m/__init__.py)",
            "version conflict",
            f"{INSTALLED} {RELEASE}",
        ),
        (
            "AttributeError",
            f"module '{INSTALLED}' has no attribute 'gone'",
            "version conflict",
            f"{INSTALLED} {RELEASE}",
        ),
        (
            "FileNotFoundError",
            "[Errno 2] No such file or directory: 'data/train.bin'",
            "missing file",
            "`data/train.bin`",
        ),
        (
            "UnpicklingError",
            "Weights only load failed. WeightsUnpickler error: Unsupported global: GLOBAL numpy.x.y was",
            "refused pickle",
            "`numpy.x.y`",
        ),
        ("ConnectionRefusedError", "[Errno 111] Connection refused", "network refused", "offline"),
        (
            "OSError",
            "We couldn't connect to 'https://huggingface.co' to load this file",
            "network refused",
            "local copy",
        ),
        (
            "URLError",
            "<urlopen error [Errno -3] Temporary failure in name resolution>",
            "network refused",
            "network",
        ),
        (
            "OutOfMemoryError",
            "CUDA out of memory. Tried to allocate 20.00 MiB.",
            "out of memory",
            "CUDA device",
        ),
        ("RuntimeError", "CUDA error: out of memory", "out of memory", "CUDA device"),
        ("MemoryError", "MemoryError", "out of memory", "machine"),
        (
            "RuntimeError",
            "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried",
            "out of memory",
            "machine",
        ),
        ("SyntaxError", "invalid syntax (train.py, line 3)", "syntax error", "`train.py` (line 3)"),
        ("SyntaxError", "a/b.py: syntax error while parsing", "syntax error", "`a/b.py`"),
        ("IndentationError", "unexpected indent (x.py, line 1)", "syntax error", "`x.py`"),
        ("GateUsageError", "lint: '--fix' is no path", "usage", "arguments"),
        ("SettingsError", "pyproject.toml: bad", "usage", "settings"),
    ],
)
def test_known_causes(tmp_path: Path, kind: str, message: str, cause: str, word: str) -> None:
    found = diagnose(Failure(kind, message), tmp_path)
    assert found.cause == cause
    assert word in f"{found.diagnosis} {found.remedy}"


@pytest.mark.parametrize(
    ("matcher", "kind", "message"),
    [
        (resources.cuda_missing, "RuntimeError", "CUDA error: device-side assert triggered"),
        (resources.out_of_memory, "RuntimeError", "memory format option is only supported by"),
        (resources.network_refused, "ValueError", "connection weights refused to converge"),
        (resources.missing_file, "IsADirectoryError", "[Errno 21] Is a directory: 'data'"),
        (resources.refused_pickle, "UnpicklingError", "pickle data was truncated"),
        (imports.version_conflict, "ImportError", "cannot import name 'x' from 'nosuchx' (x.py)"),
        (imports.version_conflict, "TypeError", "step() requires 2 arguments, got 3"),
        (imports.version_conflict, "AttributeError", "'Tensor' object has no attribute 'foo'"),
        (imports.syntax_error, "ValueError", "invalid syntax (train.py, line 3)"),
        (processes.no_terminal, "OSError", "[Errno 25] Not a typewriter"),
        (processes.tool_missing, "FileNotFoundError", "the tool 'ruff' is not installed"),
        (processes.timeout, "ValueError", "did not end within 3 s"),
        (processes.killed, "ValueError", "was killed by SIGTERM"),
        (processes.killed, "ToolKilledError", "was killed by nobody"),
        (processes.killed_for_memory, "ToolKilledError", "was killed by SIGTERM: tail"),
        (processes.usage, "UsageError", "no such option"),
    ],
)
def test_near_misses(tmp_path: Path, matcher: object, kind: str, message: str) -> None:
    assert callable(matcher)
    assert matcher(Failure(kind, message), tmp_path) is None


def test_every_matcher_is_tested_with_a_near_miss() -> None:
    beside = Path(__file__).parent / "causes" / "test_causes_imports.py"
    text = Path(__file__).read_text(encoding="utf-8") + beside.read_text(encoding="utf-8")
    for matcher in MATCHERS:
        home = matcher.__module__.rpartition(".")[2]
        near = f"{home}.{matcher.__name__}(" in text or f"({home}.{matcher.__name__}," in text
        assert near, f"{matcher.__name__} has no near miss"


@pytest.mark.parametrize(
    ("error", "cause", "word"),
    [
        (ToolMissingError("the tool 'ruff' is not installed"), "tool missing", "codex-audit[lint]"),
        (ToolMissingError("the program 'git' is not installed"), "tool missing", "pip install git"),
        (ToolTimeoutError("`x` did not end within 3 s"), "timeout", "timeouts"),
        (GateTimeoutError("the gate did not end within 3 s"), "timeout", "timeouts"),
        (ToolKilledError("`x` was killed by SIGKILL: y"), "out of memory", "kernel"),
        (ToolKilledError("`x` was killed by SIGSEGV: y"), "killed", "native code"),
        (ToolKilledError("`x` was killed by SIGTERM: y"), "killed", "SIGTERM from outside"),
        (GateEndedError("the gate was ended by SIGINT"), "killed", "SIGINT from outside"),
        (ToolCrashedError("`x` ended with exit code 3: what"), "unknown", "no known cause"),
    ],
)
def test_failures_of_processes(tmp_path: Path, error: BaseException, cause: str, word: str) -> None:
    found = diagnose(Failure.of(error), tmp_path)
    assert found.cause == cause
    assert word in f"{found.diagnosis} {found.remedy}"


def test_unknown_is_said_to_be_unknown(tmp_path: Path) -> None:
    found = diagnose(Failure("ZeroDivisionError", "division by zero"), tmp_path)
    assert found.cause == "unknown"
    assert "ZeroDivisionError" in found.diagnosis


def test_captured_texts_are_single_non_empty_lines(tmp_path: Path) -> None:
    failure = Failure("ValueError", f"first\n  second in {tmp_path}/a.py", f"File {tmp_path}/a.py")
    error = capture(failure, phase=6, step="lint", context="a\nb", root=tmp_path)
    assert error.message == "first second in a.py"
    assert error.context == "a b"
    assert error.traceback == "File a.py"
    coloured = Failure("ValueError", "\x1b[1mbold\x1b[0m words")
    error = capture(coloured, phase=6, step="lint", context="a", root=tmp_path)
    assert error.message == "bold words"
    empty = capture(Failure("ValueError", ""), phase=6, step="lint", context="", root=tmp_path)
    assert (empty.message, empty.context) == ("ValueError", "lint")


def test_of_an_exception() -> None:
    with pytest.raises(ValueError, match="invalid literal") as caught:
        int("boom")
    failure = Failure.of(caught.value)
    assert (failure.type, failure.message) == (
        "ValueError",
        "invalid literal for int() with base 10: 'boom'",
    )
    assert "test_of_an_exception" in failure.traceback
    assert Failure.of(MemoryError()).message == "MemoryError"


def test_a_text_that_is_parsed_at_run_time_is_no_source_file(tmp_path: Path) -> None:
    with pytest.raises(SyntaxError) as caught:
        ast.literal_eval("/out/run")
    found = diagnose(Failure.of(caught.value), tmp_path)
    assert found.cause == "syntax error"
    assert "a text that is parsed" in found.diagnosis


def test_a_source_file_that_does_not_compile_is_named(tmp_path: Path) -> None:
    with pytest.raises(SyntaxError) as caught:
        compile("x = = 1\n", "train.py", "exec")
    assert "`train.py` (line 1)" in diagnose(Failure.of(caught.value), tmp_path).diagnosis


UV = "Using Python 3.11.7 environment at: .nox/tests\n"
UV_ABSENT = """error: No solution found when resolving dependencies
  cause: Because kit-of-nobody was not found in the package registry and you require kit-of-nobody, we can conclude that your requirements are unsatisfiable.
"""
UV_CONFLICT = """  \u00d7 No solution found when resolving dependencies:
  \u2570\u2500\u25b6 Because you require torch==1.0 and torch>2, we can conclude that your
      requirements are unsatisfiable.
"""
UV_NETWORK = """error: Request failed after 3 retries in 11.5s
  cause: Failed to fetch: http://127.0.0.1:9/simple/zope/
"""
UV_BUILD = """  \u00d7 Failed to build `kit @ file:///kit`
  \u251c\u2500\u25b6 The build backend returned an error
"""
PIP_ABSENT = """Looking in links: wheels
ERROR: Could not find a version that satisfies the requirement kit-of-nobody (from versions: none)
ERROR: No matching distribution found for kit-of-nobody
"""


@pytest.mark.parametrize(
    ("said", "cause", "word", "starts"),
    [
        (UV + UV_ABSENT, "environment not installed", "not to be had", "Because kit-of-nobody"),
        (UV + UV_CONFLICT, "environment not installed", "cannot be met", "Because you require"),
        (UV + UV_NETWORK, "network refused", "no connection", "error: Request failed"),
        (UV + UV_BUILD, "environment not installed", "cannot be built", "Failed to build"),
        (PIP_ABSENT, "environment not installed", "not to be had", "ERROR: Could not find"),
        ("a\nb\nc\nd\n", "environment not installed", "no known cause", "b c d"),
        ("", "environment not installed", "no known cause", "the installer said nothing"),
        ("error: " + "x" * 9000, "environment not installed", "no known cause", "error: xxx"),
    ],
)
def test_why_an_environment_could_not_be_installed(
    tmp_path: Path, said: str, cause: str, word: str, starts: str
) -> None:
    failure = installation_failure(said)
    assert failure.message.startswith(starts)
    assert len(failure.message) < 600
    found = diagnose(failure, tmp_path)
    assert found.cause == cause
    assert word in found.diagnosis


def test_the_same_words_of_a_program_are_no_installation(tmp_path: Path) -> None:
    said = Failure("RuntimeError", "No solution found, the system is unsatisfiable")
    assert installation.not_installed(said, tmp_path) is None
    assert diagnose(said, tmp_path).cause == "unknown"


def test_a_line_of_an_environment_in_the_repository_is_none_of_its_own(tmp_path: Path) -> None:
    inner = f'  File "{tmp_path}/.nox/tests/lib/python3.11/site-packages/tool/a.py", line 9, in f\n'
    own = f'  File "{tmp_path}/train.py", line 3, in main\n'
    assert "raised" not in diagnose(Failure("Odd", "x", inner), tmp_path).diagnosis
    found = diagnose(Failure("Odd", "x", own + inner), tmp_path)
    assert found.remedy == "start at train.py:3"


def test_in_a_session_of_nox_the_remedy_is_the_noxfiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = Failure("ModuleNotFoundError", "No module named 'kit_of_nobody'")
    assert "nox" not in diagnose(missing, tmp_path).remedy
    monkeypatch.setenv(imports.SESSION, "tokenizer")
    said = 'into nox\'s: `register(requirements={"tokenizer": ("kit_of_nobody",)})`'
    assert said in diagnose(missing, tmp_path).remedy
