"""One proof of the tokenizer battery: what it is given, what it finds, and how it is run."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from codex_audit.outcome import Check, Verdict
from codex_audit.proofs.proof import Proof
from codex_audit.proofs.proof import battery as all_of
from codex_audit.proofs.tokenizer.subject import LacksError, Subject

if TYPE_CHECKING:
    from types import TracebackType

PACKAGE = "codex_audit.proofs.tokenizer.battery"
Measured = dict[str, float | int | str | bool | None]

_OURS = str(Path(__file__).parent / "battery")


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What a proof is given.

    Attributes:
        subject: on trial.
        texts: hard texts by name.
        normalization: what settings declare.
        examples: how many texts Hypothesis makes for a proof.
        scratch: an empty directory of this proof.
        other: another implementation that must agree, where settings name one.
        elsewhere: the ids of the hard texts from a process with another hash seed.
    """

    subject: Subject
    texts: Mapping[str, str]
    scratch: Path
    normalization: tuple[str, ...] = ()
    examples: int = 100
    other: Subject | None = None
    elsewhere: Mapping[str, list[int]] | None = None


class Found(msgspec.Struct, frozen=True):
    """What a proof found: a fault and the component it points to, or what holds."""

    good: str = ""
    fault: str = ""
    component: str = ""
    measured: Measured = {}


class TokenizerProof(Proof, frozen=True, kw_only=True):
    """A claim about a tokenizer; `judge` tries it and raises `LacksError` where it cannot."""

    judge: Callable[[Trial], Found]


@functools.cache
def battery() -> dict[str, TokenizerProof]:
    """Every proof by its id."""
    return all_of(PACKAGE, TokenizerProof)


def holds(good: str, **measured: Any) -> Found:
    """The claim holds, and this is how far it was tried."""
    return Found(good=good, measured=measured)


def broken(fault: str, *, component: str, **measured: Any) -> Found:
    """The claim does not hold; `component` is the place to look first."""
    return Found(fault=fault, component=component, measured=measured)


def try_proof(proof: TokenizerProof, trial: Trial) -> Check:
    """The check that one proof ends in, whatever the subject does.

    An exception that the subject raised on proper input is its failure; one of the proof's own
    is an error.
    """
    try:
        found = proof.judge(trial)
    except LacksError as reason:
        return Check(proof.id, Verdict.SKIP, str(reason))
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    # A panic of a compiled library is no `Exception`.
    except BaseException as error:  # noqa: BLE001 - it becomes the check
        return _raised(proof, error)
    if not found.fault:
        return Check(proof.id, Verdict.PASS, found.good, measured=found.measured)
    summary = f"{found.fault}; look at the {found.component}"
    return Check(proof.id, Verdict.FAIL, summary, measured=found.measured)


def _raised(proof: TokenizerProof, error: BaseException) -> Check:
    said = f"{type(error).__name__}: {one_line(str(error))}"
    if not _from_subject(error.__traceback__):
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}:{place.lineno}"
        return Check(proof.id, Verdict.ERROR, f"the proof itself raised {said} ({where})")
    method = next(
        frame.name
        for frame in reversed(traceback.extract_tb(error.__traceback__))
        if "adapters" in Path(frame.filename).parts
    )
    summary = f"the subject raised {said} in {method}(); look at the {method}"
    return Check(proof.id, Verdict.FAIL, summary)


def _from_subject(trace: TracebackType | None) -> bool:
    """Whether the exception came out of an adapter's call, and so out of the subject."""
    return any(
        "adapters" in Path(frame.filename).parts and not frame.filename.startswith(_OURS)
        for frame in traceback.extract_tb(trace)
    )


def one_line(text: str, limit: int = 200) -> str:
    """A message as one line, cut where it is long."""
    joined = " ".join(text.split())
    return joined if len(joined) <= limit else joined[: limit - 3] + "..."
