"""Running one gate so that its outcome file tells the truth, whatever happens."""

from __future__ import annotations

import shlex
import shutil
import signal
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NoReturn

import msgspec

from codex_audit.diagnosis import Failure, capture
from codex_audit.gates.base import Context, Gate, GateUsageError, Report, find_gate
from codex_audit.outcome import CapturedError, Outcome, Verdict, conclude, write_outcome
from codex_audit.provenance import provenance
from codex_audit.settings import Settings, SettingsError, load_settings
from codex_audit.tree.files import list_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from codex_audit.tree.files import Tree

_CODES = {Verdict.PASS: 0, Verdict.SKIP: 0, Verdict.FAIL: 1, Verdict.ERROR: 2}
_NAMED = 3  # files that changed, of those that did
_SIGNALS = ("SIGTERM", "SIGINT", "SIGHUP")
# The tools of a gate time out first and say more; this one ends what no tool bounds.
_GRACE = 10.0


class GateEndedError(BaseException):
    """A signal asked the gate to end. Not an `Exception`: no gate may swallow it."""


class GateTimeoutError(BaseException):
    """The gate ran past its time. Not an `Exception`: no gate may swallow it."""


def exit_code(verdict: Verdict) -> int:
    """What a gate session exits with: 1 on fail, 2 on error, 0 on pass and on skip."""
    return _CODES[verdict]


def run_gate(name: str, root: Path, args: tuple[str, ...] = ()) -> Outcome:
    """Run the gate `name` on `root` and write `<out>/outcomes/<name>.json`.

    The file says "error" from the first moment, so that a gate that is killed leaves no older
    outcome behind; it is replaced when the gate ends.

    Raises:
        UnknownGateError: there is no such gate.
        SettingsError: the settings cannot be used, or `out` cannot be written to.
        GateUsageError: the gate does not take `args`; the outcome file says so as well.
    """
    root = root.resolve()
    gate = find_gate(name)
    settings = load_settings(root)
    return _Run(gate, root, settings, args).run()


class _Run:
    """One run of one gate, from the provisional outcome to the real one."""

    def __init__(self, gate: Gate, root: Path, settings: Settings, args: tuple[str, ...]) -> None:
        self.gate = gate
        self.root = root
        self.settings = settings
        self.args = args
        self.out = root / settings.out
        self.timeout = settings.gate_timeout(gate.name)
        self.started = datetime.now(UTC)
        self.clock = time.monotonic()
        self.tree: Tree | None = None

    def run(self) -> Outcome:
        refusal: GateUsageError | SettingsError | None = None
        scratch = self._prepare()
        with _signals_raise(self.timeout + _GRACE) as shield:
            try:
                self.tree = list_tree(self.root, self.settings.exclude)
                self._write(self._unfinished())
                report = self.gate.run(
                    Context(self.root, self.settings, self.args, scratch, self.timeout)
                )
                report = self._with_rewritten(report)
            except (GateUsageError, SettingsError) as error:
                refusal = error
                report = Report(errors=(self._captured(error),))
            except BaseException as error:  # noqa: BLE001 - whatever it is, the document shows it
                report = Report(errors=(self._captured(error),))
            shield()
            outcome = self._conclude(report)
        if refusal is not None:
            raise refusal
        return outcome

    def _with_rewritten(self, report: Report) -> Report:
        """The report, and an error where tracked files are others than when the gate began.

        What was judged is then not what is there, and the outcome stands for no tree that is.
        """
        before = self.tree
        if before is None or before.listed_by != "git":
            return report  # without git nobody can tell a file of the repository from a result
        after = list_tree(self.root, self.settings.exclude, before.contents)
        names = before.rewritten_in(after)
        if not names:
            return report
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        changed = CapturedError(
            phase=self.gate.phase,
            step=self.gate.step,
            message=f"tracked files changed while the gate ran: {', '.join(names[:_NAMED])}{more}",
            context=self.gate.title,
            diagnosis="a test, a tool or somebody else wrote to what was judged",
            remedy="look at `git diff`, restore the files or keep the change, and run it again; "
            "where a test writes to them, let it write elsewhere",
            at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        )
        return msgspec.structs.replace(report, errors=(*report.errors, changed))

    def _conclude(self, report: Report) -> Outcome:
        outcome = self._outcome(report)
        try:
            self._write(outcome)
        except TypeError as error:  # a fact that JSON cannot hold
            outcome = self._outcome(Report(errors=(self._captured(error),)))
            self._write(outcome)
        return outcome

    def _prepare(self) -> Path:
        """Make the directories, and leave an outcome that is true if nothing follows."""
        scratch = self.out / "scratch" / self.gate.name
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            ignore = self.out / ".gitignore"
            if not ignore.exists():
                # Or the gates' own files would make the tree they judge dirty.
                ignore.write_text("*\n", encoding="utf-8")
            self._write(self._unfinished())
            if scratch.exists():
                shutil.rmtree(scratch)
            scratch.mkdir(parents=True)
        except OSError as error:
            raise SettingsError(
                f"{self.out}: cannot be written ({error.strerror}); make it writable, or set "
                "`out` under [tool.codex-audit] to a directory that is"
            ) from error
        return scratch

    def _write(self, outcome: Outcome) -> None:
        write_outcome(self.out / "outcomes", outcome)

    def _unfinished(self) -> Outcome:
        error = CapturedError(
            phase=self.gate.phase,
            step=self.gate.step,
            message="the gate was started and did not end",
            context=self.gate.title,
            diagnosis="killed: it was ended before it could report, or is still running",
            remedy=f"run it again: `{self._command()}`; if it is killed again, look at its memory",
            at=self.started.strftime("%Y-%m-%dT%H:%M:%SZ"),
        )
        return self._outcome(Report(errors=(error,)))

    def _captured(self, error: BaseException) -> CapturedError:
        return capture(
            Failure.of(error),
            phase=self.gate.phase,
            step=self.gate.step,
            context=self.gate.title,
            root=self.root,
        )

    def _outcome(self, report: Report) -> Outcome:
        verdict = conclude(report.checks, report.errors)
        if verdict is Verdict.SKIP and not report.reason:
            silent = GateSilentError(
                f"the gate {self.gate.name} checked nothing and gave no reason"
            )
            report = msgspec.structs.replace(report, errors=(self._captured(silent),))
            verdict = Verdict.ERROR
        return Outcome(
            gate=self.gate.name,
            verdict=verdict,
            reason=report.reason,
            checks=report.checks,
            findings=report.findings,
            errors=report.errors,
            facts={**report.facts, "arguments": list(self.args)} if self.args else report.facts,
            provenance=provenance(
                self.tree,
                tools=report.tools,
                device=report.device,
                started=self.started,
                seconds=time.monotonic() - self.clock,
                command=self._command(),
            ),
        )

    def _command(self) -> str:
        return shlex.join(["codex-audit", "gate", self.gate.name, *self.args])


class GateSilentError(RuntimeError):
    """A gate that neither checked anything nor said why not."""


@contextmanager
def _signals_raise(timeout: float) -> Iterator[Callable[[], None]]:
    """Turn signals, and `timeout` seconds, into exceptions; yields what ends that.

    After the first signal the others are ignored until the outcome is written: nox sends an
    interrupt and a termination in quick succession.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None  # only a main thread receives signals
        return
    numbers = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]

    def shield() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)

    def ended(number: int, _frame: object) -> NoReturn:
        shield()
        raise GateEndedError(f"the gate was ended by {signal.Signals(number).name}")

    def timed_out(_number: int, _frame: object) -> NoReturn:
        shield()
        raise GateTimeoutError(f"the gate did not end within {timeout - _GRACE:g} s")

    before = {number: signal.signal(number, ended) for number in numbers}
    alarm = signal.signal(signal.SIGALRM, timed_out)
    signal.setitimer(signal.ITIMER_REAL, timeout)
    try:
        yield shield
    finally:
        shield()
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.signal(signal.SIGALRM, alarm)
