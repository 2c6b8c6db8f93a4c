"""Small records from which the tests of the report are built."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from codex_audit.outcome import (
    CapturedError,
    Check,
    Evidence,
    Finding,
    Level,
    Outcome,
    Provenance,
    Verdict,
    write_outcome,
)
from codex_audit.records import (
    Answer,
    Capability,
    Criterion,
    FileSize,
    Kind,
    Language,
    LeftOut,
    RepoMap,
    Reproducibility,
    Scan,
    Seed,
    Status,
    Unparsed,
)
from codex_audit.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

CAPABILITIES = (
    *("checkpointing_resume", "config_mgmt", "data_handling", "deployment", "docs_examples"),
    *("evaluation_metrics", "experiment_tracking", "extensibility", "internal_ci_test"),
    *("logging_monitoring", "security_safety", "tokenization", "training_engine"),
)
SETTINGS = Settings(project="demo")
CPU = "trainer-smoke-cpu"


def provenance(**changes: Any) -> Provenance:
    made = Provenance(
        commit="0123456789abcdef",
        dirty=False,
        tree_digest="digest",
        tools={"ruff": "0.12.0"},
        python="3.11.9",
        platform="Linux",
        device="cpu",
        started="2026-01-02T03:04:05Z",
        seconds=1.5,
        command="codex-audit gate",
    )
    return msgspec.structs.replace(made, **changes)


def criterion(name: str, answer: Answer = Answer.MET, **changes: Any) -> Criterion:
    made = Criterion(
        id=name,
        question=f"does it do {name}?",
        answer=answer,
        required=True,
        impact=2,
        effort=1,
        evidence=(Evidence("train.py", 7, f"{name}()"),) if answer is Answer.MET else (),
        gap=f"nothing does {name}" if answer is Answer.UNMET else "",
        remedy=f"write {name}",
    )
    return msgspec.structs.replace(made, **changes)


def capability(name: str, *criteria: Criterion, **changes: Any) -> Capability:
    made = Capability(
        id=name,
        title=name.replace("_", " "),
        status=Status.IMPLEMENTED,
        criteria={each.id: each for each in criteria or (criterion("there"),)},
    )
    return msgspec.structs.replace(made, **changes)


def scan(*capabilities: Capability, **changes: Any) -> Scan:
    given = {each.id: each for each in capabilities}
    made = Scan(
        project="demo",
        catalog_version="2026.1",
        trains=True,
        kind=Kind("trainer", "trainer", (Evidence("train.py", 7, "loss.backward()"),), "it trains"),
        repo_map=RepoMap(
            root="demo",
            listed_by="git",
            files=12,
            python_files=5,
            python_loc=400,
            notebook_loc=30,
            languages=(Language("Python", 5, 400), Language("TOML", 1, 20)),
            largest=(FileSize("train.py", 300, 9000),),
            stubs=(Evidence("model.py", 3, "def later(): ..."),),
            markers=(Evidence("model.py", 9, "# TODO: finish"),),
            stub_density=5.0,
            left_out=(LeftOut("vendored", 4, ("vendor/a.py", "vendor/b.py")),),
            unparsed=(Unparsed("broken.py", 2, "invalid syntax"),),
        ),
        capabilities={name: given.get(name, capability(name)) for name in CAPABILITIES},
        reproducibility=Reproducibility(
            seeds=(
                Seed("torch", Evidence("train.py", 4, "torch.manual_seed(1)")),
                Seed("python", Evidence("train.py", 5, "random.seed(1)")),
                Seed("python, numpy", Evidence("train.py", 6, "seed_all(1)")),
            ),
            determinism=(),
            rng_capture=(Evidence("train.py", 40, "torch.get_rng_state()"),),
            lock_files=("uv.lock",),
            data_manifests=(),
            git_commit=(),
            environment=(),
            recommendations=("Record the git commit of each run",),
        ),
        errors=(),
        provenance=provenance(),
    )
    return msgspec.structs.replace(made, **changes)


def captured(phase: int = 5, **changes: Any) -> CapturedError:
    made = CapturedError(
        phase=phase,
        step="trainer_smoke_test",
        message="cannot import name 'nn' from 'torch' (torch/__init__.py)",
        context="SimpleTrainer synthetic step",
        diagnosis="the directory `torch/` shadows the installed package",
        remedy="rename `torch/`",
        at="2025-10-06T16:59:14Z",
    )
    return msgspec.structs.replace(made, **changes)


def finding(**changes: Any) -> Finding:
    made = Finding(
        rule="F401",
        level=Level.WARNING,
        message="`os` imported but unused",
        path="src/a b.py",
        line=3,
        fingerprint="00ff",
    )
    return msgspec.structs.replace(made, **changes)


def check(name: str, verdict: Verdict = Verdict.PASS) -> Check:
    return Check(name, verdict, f"{name} {verdict}ed", measured={"steps": 40})


def outcome(gate: str, verdict: Verdict = Verdict.PASS, **changes: Any) -> Outcome:
    checks = () if verdict is Verdict.SKIP else (check("main", verdict),)
    reason = "no CUDA device" if verdict is Verdict.SKIP else ""
    made = Outcome(
        gate=gate, verdict=verdict, reason=reason, checks=checks, provenance=provenance()
    )
    return msgspec.structs.replace(made, **changes)


def write_all(directory: Path, *given: Outcome, settings: Settings = SETTINGS) -> Path:
    """A passing outcome of every gate in `directory`, but for those given."""
    by_gate = {each.gate: each for each in given}
    for gate in dict.fromkeys([*settings.gates, *by_gate]):
        write_outcome(directory, by_gate.get(gate, outcome(gate)))
    return directory
