"""The reproducibility checklist: what is seeded, switched, saved, pinned and recorded."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import msgspec
import tomli

from codex_audit.capabilities.callers import Callers
from codex_audit.capabilities.match import Hit, Matcher
from codex_audit.capabilities.model import Signal
from codex_audit.outcome import Evidence
from codex_audit.records import Answer, Proof, Reproducibility, Seed
from codex_audit.tree.symbols import Symbols

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from codex_audit.capabilities.match import Findings
    from codex_audit.records import Capability
    from codex_audit.tree.facts import Found

LOCK_FILES = (
    "uv.lock", "poetry.lock", "Pipfile.lock", "pdm.lock", "conda-lock.yml", "pixi.lock",
    "pylock.toml",
)  # fmt: skip
_LIMIT = 5


class _Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    seeds: dict[str, tuple[Signal, ...]]
    checks: dict[str, tuple[Signal, ...]]


@cache
def _rules() -> _Rules:
    text = files("codex_audit").joinpath("reproducibility.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomli.loads(text), _Rules)


def checklist_signals() -> Iterator[Signal]:
    """Every signal that the checklist asks about."""
    for group in (_rules().seeds, _rules().checks):
        for signals in group.values():
            yield from signals


def checklist(
    findings: Findings,
    tree_files: Sequence[Found],
    capabilities: Mapping[str, Capability],
    *,
    trains: bool,
    snippet: Callable[[str, int], str],
) -> Reproducibility:
    """The checklist of a tree, from what its files hold and from the criteria already answered."""
    rules = _rules()
    matcher = Matcher(findings, lambda _criterion: None, Callers(Symbols(tree_files)))

    def evidence(hits: Sequence[Hit]) -> tuple[Evidence, ...]:
        return tuple(
            Evidence(hit.path, hit.line, snippet(hit.path, hit.line)) for hit in hits[:_LIMIT]
        )

    seeds = tuple(
        Seed(rng, found)
        for rng, signals in rules.seeds.items()
        for found in evidence(matcher.first(signals))[:2]
    )
    checks = {name: evidence(matcher.first(signals)) for name, signals in rules.checks.items()}
    locks = tuple(file.path for file in tree_files if _is_lock(file))
    rng = _met(capabilities, "checkpointing_resume", "cpu_rng_restored")
    manifests = _met(capabilities, "data_handling", "manifest")
    found = Reproducibility(
        seeds=seeds,
        determinism=checks["determinism"],
        rng_capture=rng,
        lock_files=locks,
        data_manifests=manifests,
        git_commit=checks["git_commit"],
        environment=checks["environment"],
        recommendations=(),
    )
    return msgspec.structs.replace(found, recommendations=_recommend(found, trains=trains))


def after_proofs(
    found: Reproducibility, capabilities: Mapping[str, Capability], *, trains: bool
) -> Reproducibility:
    """The checklist once gates have had their say: what they refuted is not there."""
    refuted = {
        f"{capability.id}.{criterion.id}"
        for capability in capabilities.values()
        for criterion in capability.criteria.values()
        if criterion.proof is Proof.REFUTED
    }
    left = found
    if "checkpointing_resume.cpu_rng_restored" in refuted:
        left = msgspec.structs.replace(left, rng_capture=())
    if "data_handling.manifest" in refuted:
        left = msgspec.structs.replace(left, data_manifests=())
    if left == found:
        return found
    return msgspec.structs.replace(left, recommendations=_recommend(left, trains=trains))


def _met(
    capabilities: Mapping[str, Capability], capability: str, criterion: str
) -> tuple[Evidence, ...]:
    answered = capabilities[capability].criteria[criterion]
    return answered.evidence if answered.answer is Answer.MET else ()


def _is_lock(file: Found) -> bool:
    name = file.path.rpartition("/")[2]
    if name in LOCK_FILES:
        return True
    if file.role == "test" or not (name.endswith(".txt") and "require" in file.path.lower()):
        return False
    # What pip-tools and uv compile: every line pinned, so transitive packages are too.
    pins = [fact.value for fact in file.requirements]
    return len(pins) > 3 and all(pin.startswith("==") for pin in pins)  # noqa: PLR2004


def _recommend(found: Reproducibility, *, trains: bool) -> tuple[str, ...]:
    """One recommendation for each thing that is missing, and none for what is there."""
    wanted = []
    if trains:
        seeded = " ".join(seed.rng for seed in found.seeds)
        missing = [rng for rng in ("python", "numpy", "torch") if rng not in seeded]
        if "jax" not in seeded and "tensorflow" not in seeded and missing:
            names = {
                "python": "`random.seed`",
                "numpy": "`numpy.random.seed`",
                "torch": "`torch.manual_seed`",
            }
            wanted.append(
                "Seed every RNG at the start of a run: not found are "
                f"{', '.join(names[rng] for rng in missing)}."
            )
        if not found.determinism:
            wanted.append(
                "Offer a switch for deterministic algorithms: "
                "`torch.use_deterministic_algorithms(True)`."
            )
        if not found.rng_capture:
            wanted.append("Save the RNG states in checkpoints and set them again on resume.")
        if not found.data_manifests:
            wanted.append(
                "Keep a manifest of each data set: paths, counts and SHA-256 of its files."
            )
        if not found.git_commit:
            wanted.append("Record the git commit of each run beside its checkpoints.")
        if not found.environment:
            wanted.append("Record the versions of the installed packages with each run.")
    if not found.lock_files:
        wanted.append(
            "Lock the whole dependency set: `uv lock`, or `pip-compile --generate-hashes`."
        )
    return tuple(wanted)
