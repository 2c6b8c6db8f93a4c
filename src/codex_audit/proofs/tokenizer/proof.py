"""One proof of the tokenizer battery: what it is given, what it finds, and how it is run."""

from __future__ import annotations

import contextlib
import functools
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from codex_audit.outcome import Check, Verdict
from codex_audit.proofs.proof import Proof
from codex_audit.proofs.proof import battery as all_of
from codex_audit.proofs.tokenizer import search
from codex_audit.proofs.tokenizer.normalization import canonical
from codex_audit.proofs.tokenizer.subject import LacksError, Subject, WrongFormError

if TYPE_CHECKING:
    from types import TracebackType

PACKAGE = "codex_audit.proofs.tokenizer.battery"
Measured = dict[str, float | int | str | bool | None]

UNSTEADY = "not judged: the same text has other ids at every call, see new_process_same_ids"
RAISES = "not judged: encode() raises on some texts, see round_trip"

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
        trained: the same, from a tokenizer that was trained there.
        domain: where it is made for no other texts, those; `texts` is part of them.
        raises: whether encoding some hard text raises, which `round_trip` judges.
        unsteady: whether a text has other ids at every call, which `new_process_same_ids` judges.
    """

    subject: Subject
    texts: Mapping[str, str]
    scratch: Path
    normalization: tuple[str, ...] = ()
    examples: int = 100
    other: Subject | None = None
    elsewhere: Mapping[str, list[int]] | None = None
    trained: Mapping[str, list[int]] | None = None
    domain: tuple[str, ...] = ()
    raises: bool = False
    unsteady: bool = False

    def hardest(
        self,
        fails: Callable[[str], bool],
        examples: int,
        texts: Iterable[str] | None = None,
    ) -> tuple[list[str], str] | None:
        """`search.hardest` among the hard texts, or `texts`, and made ones."""
        tried = self.texts.values() if texts is None else texts
        return search.hardest(tried, fails, examples, self.domain)

    def smallest(self, texts: Iterable[str], fails: Callable[[str], bool]) -> str:
        """`search.smallest`, within the domain."""
        return search.smallest(texts, fails, self.domain)

    def counts(self, text: str) -> str:
        """What counts of a text: all of it, or what declared normalisations leave."""
        with contextlib.suppress(LacksError):
            text = self.subject.normalize(text)
        return canonical(text, self.normalization)

    def beside(self, examples: int) -> str:
        """How many texts were tried beside the hard ones, and whose they were."""
        if self.domain:
            return f"{len(search.drawn(self.domain, examples))} of the domain"
        return f"{examples} of Hypothesis"

    @property
    def plain(self) -> str:
        """A text that gives no trouble."""
        return self.domain[0] if self.domain else "a b"


class Found(msgspec.Struct, frozen=True):
    """What a proof found: a fault and the component it points to, or what holds."""

    good: str = ""
    fault: str = ""
    component: str = ""
    measured: Measured = {}


class TokenizerProof(Proof, frozen=True, kw_only=True):
    """A claim about a tokenizer; `judge` tries it and raises `LacksError` where it cannot.

    Attributes:
        judge: what tries it.
        of_any: whether it says something of an encoder whose ids are never twice the same.
    """

    judge: Callable[[Trial], Found]
    of_any: bool = False


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
    if trial.unsteady and not proof.of_any:
        return Check(proof.id, Verdict.SKIP, UNSTEADY)
    try:
        found = proof.judge(trial)
    except LacksError as reason:
        return Check(proof.id, Verdict.SKIP, str(reason))
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    # A panic of a compiled library is no `Exception`.
    except BaseException as error:  # noqa: BLE001 - it becomes the check
        return _raised(proof, error, trial)
    if not found.fault:
        return Check(proof.id, Verdict.PASS, found.good, measured=found.measured)
    summary = f"{found.fault}; look at the {found.component}"
    return Check(proof.id, Verdict.FAIL, summary, measured=found.measured)


def _raised(proof: TokenizerProof, error: BaseException, trial: Trial) -> Check:
    said = f"{type(error).__name__}: {one_line(str(error))}"
    if not _from_subject(error.__traceback__):
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}:{place.lineno}"
        return Check(proof.id, Verdict.ERROR, f"the proof itself raised {said} ({where})")
    methods = [
        frame.name
        for frame in reversed(traceback.extract_tb(error.__traceback__))
        if "adapters" in Path(frame.filename).parts and hasattr(Subject, frame.name)
    ]
    method = methods[0] if methods else "call"
    if trial.raises and method in {"encode", "encode_batch"}:
        return Check(proof.id, Verdict.SKIP, f"{RAISES} ({said})")
    told = f"gave {error}" if isinstance(error, WrongFormError) else f"raised {said}"
    summary = f"{method}() of the subject {told}; look at the {method}"
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
