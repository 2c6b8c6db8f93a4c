"""What a proof of the trainer battery is given and what it returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from codex_audit.outcome import Check, Verdict
from codex_audit.proofs.proof import Proof
from codex_audit.proofs.trainer.runs import Result, Run, Subject

Measured = dict[str, float | int | str | bool | None]


class Skip(msgspec.Struct, frozen=True):
    """Why a proof cannot be tried on this subject."""

    reason: str


class Broken(msgspec.Struct, frozen=True):
    """What broke, so that nothing can be judged: louder than a `Skip`."""

    reason: str


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """A subject after its first run, `straight`, from which proofs decide what else to run.

    Attributes:
        steps: of the straight run.
        epoch: steps of one epoch, where the sampler's indices show it.
        streams: generators that the subject seeds or draws from; the others say nothing of it.
        stepwise, together: as of the straight run.
        thorough: whether time may be spent.
    """

    subject: Subject
    straight: Result
    steps: int
    device: str = "cpu"
    epoch: int | None = None
    streams: frozenset[str] = frozenset()
    stepwise: bool = False
    together: bool = False
    thorough: bool = False

    def run(self, **changes: Any) -> Run:
        """The straight run, with changes."""
        base = Run(
            until=self.steps,
            horizon=self.steps,
            device=self.device,
            stepwise=self.stepwise,
            together=self.together,
        )
        return msgspec.structs.replace(base, **changes)

    def lacks(self, *knobs: str) -> Skip | None:
        """Why a proof that needs these settings of the subject cannot be tried, if so."""
        missing = [knob for knob in knobs if knob not in self.subject.knobs]
        if not missing:
            return None
        return Skip(f"the subject has no setting `{missing[0]}` that could be tried")

    def unjudged(self, asked: str, result: Result) -> Skip | Broken:
        """What to say of a run with other settings, `asked`, that did not come to its end.

        One that ends before its first step refuses the settings, which it may; one that breaks
        later had taken them.
        """
        words = f"not judged: with {asked} the run {result.ending}"
        if result.failure is not None and not result.trace.steps:
            return Skip(f"{words}, before its first step")
        return Broken(f"{words}, after {len(result.trace.steps)} steps")


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A proof's judgement.

    Attributes:
        good: whether the claim held.
        summary: what was seen; of a failure the cause, and where to look.
        measured: figures.
        method: whose place in the subject's code is the evidence: "train", "save", "load",
            "evaluate" or "factory".
        details: rows for the report, such as the divergence over steps.
    """

    good: bool
    summary: str
    measured: Measured = {}
    method: str = "train"
    details: dict[str, Any] = {}


Runs = Callable[[Trial], Mapping[str, Run] | Skip]
Judge = Callable[[Trial, Mapping[str, Result]], Seen | Skip | Broken]


class TrainerProof(Proof, frozen=True, kw_only=True):
    """A proof of the trainer battery.

    Attributes:
        runs: name -> what to run beside the straight run; a `Skip` if it cannot be tried.
        then: further runs, which depend on what those showed; none where they end otherwise.
        judge: is given the results by name, and "straight".
        spared: runs without which it can judge, where the subject does not offer what they ask.
        order: of the checks in the document; the basic ones come first.
    """

    runs: Runs
    judge: Judge
    then: Callable[[Trial, Mapping[str, Result]], Mapping[str, Run]] | None = None
    spared: frozenset[str] = frozenset()
    order: int = 50


def check_of(proof: TrainerProof, trial: Trial, seen: Seen | Skip | Broken) -> Check:
    """The judgement as a check, with the subject's own line as evidence."""
    if isinstance(seen, Skip):
        return Check(proof.id, Verdict.SKIP, seen.reason)
    if isinstance(seen, Broken):
        return Check(proof.id, Verdict.ERROR, seen.reason)
    places = trial.subject.places
    place = places.get(seen.method, places.get("factory"))
    return Check(
        id=proof.id,
        verdict=Verdict.PASS if seen.good else Verdict.FAIL,
        summary=seen.summary,
        evidence=(place,) if place else (),
        measured=seen.measured,
    )
