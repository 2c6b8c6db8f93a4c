"""What a gate is: a name, the phase it belongs to, and a function from context to report."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import msgspec

from codex_audit.outcome import CapturedError, Check, Finding
from codex_audit.settings import Settings


class UnknownGateError(LookupError):
    """No gate of that name; the message lists those there are."""


class GateUsageError(ValueError):
    """Arguments that the gate does not take; one line with the remedy."""


class Context(msgspec.Struct, frozen=True):
    """What a gate is given: the repository (absolute), its settings, and its own arguments.

    `scratch` is a directory of the gate's own, empty at the start, under the settings' `out`.
    `timeout` is in seconds, for the whole gate.
    """

    root: Path
    settings: Settings
    args: tuple[str, ...]
    scratch: Path
    timeout: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a gate found. `reason` says why nothing was checked, when nothing was."""

    checks: tuple[Check, ...] = ()
    findings: tuple[Finding, ...] = ()
    errors: tuple[CapturedError, ...] = ()
    facts: dict[str, Any] = {}
    reason: str = ""
    tools: dict[str, str] = {}
    device: str = "cpu"


class Gate(msgspec.Struct, frozen=True):
    """A declared gate. `step` names it in captured errors; `why` is for `codex-audit explain`."""

    name: str
    phase: int
    step: str
    title: str
    why: str
    run: Callable[[Context], Report]


def all_gates() -> dict[str, Gate]:
    """Every gate by name: the modules of this package, and entry points of others."""
    package = importlib.import_module("codex_audit.gates")
    modules = [
        importlib.import_module(f"{package.__name__}.{info.name}")
        for info in pkgutil.iter_modules(package.__path__)
    ]
    found = [module.GATE for module in modules if hasattr(module, "GATE")]
    for entry in entry_points(group="codex_audit.gates"):
        try:
            found.append(entry.load())
        except (ImportError, AttributeError) as error:
            raise UnknownGateError(
                f"entry point {entry.name} = {entry.value} in codex_audit.gates cannot be loaded "
                f"({error}); mend or uninstall the package that declares it"
            ) from error
    return {gate.name: gate for gate in found}


def find_gate(name: str) -> Gate:
    """The gate called `name`.

    Raises:
        UnknownGateError: there is none.
    """
    gates = all_gates()
    if name not in gates:
        raise UnknownGateError(f"no gate {name!r}; there are: {', '.join(sorted(gates))}")
    return gates[name]
