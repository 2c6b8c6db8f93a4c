from __future__ import annotations

import msgspec
import pytest

from codex_audit.capabilities.grading import grade
from codex_audit.outcome import Evidence
from codex_audit.records import Answer, Criterion, Proof, Status

STUB = Evidence("a.py", 1, "def save(): pass")


def criterion(answer: str, *, required: bool = True, proof: Proof = Proof.STATIC) -> Criterion:
    return Criterion(
        id="x", question="?", answer=Answer(answer), required=required, impact=1, effort=1, proof=proof,
        evidence=(Evidence("a.py", 1),) if answer == "met" else (),
    )  # fmt: skip


MET, UNMET, NA = criterion("met"), criterion("unmet"), criterion("not-applicable")
OPTIONAL = criterion("unmet", required=False)
REFUTED = criterion("met", proof=Proof.REFUTED)
UNKNOWN = criterion("unknown")
BY_ABSENCE = msgspec.structs.replace(MET, evidence=())


@pytest.mark.parametrize(
    ("answers", "stubs", "trains", "status"),
    [
        ([MET, NA, OPTIONAL], [], True, Status.IMPLEMENTED),
        ([MET, UNMET], [], True, Status.PARTIALLY),
        ([MET, REFUTED], [], True, Status.PARTIALLY),
        ([MET, UNKNOWN], [], True, Status.PARTIALLY),
        ([REFUTED], [], True, Status.MISSING),
        ([UNMET, NA], [STUB], True, Status.STUBBED),
        ([UNMET, NA], [], True, Status.MISSING),
        ([UNMET, NA], [], False, Status.NOT_APPLICABLE),
        ([UNMET, UNMET], [], False, Status.MISSING),
        ([BY_ABSENCE, UNMET], [], True, Status.MISSING),
        ([REFUTED, NA, NA], [], False, Status.MISSING),
        ([REFUTED, MET], [], False, Status.PARTIALLY),
        ([NA, NA], [], True, Status.NOT_APPLICABLE),
    ],
)
def test_status(
    answers: list[Criterion], stubs: list[Evidence], trains: bool, status: Status
) -> None:
    criteria = {str(number): one for number, one in enumerate(answers)}
    assert grade(criteria, stubs, trains=trains) is status


def test_settings_can_say_that_a_capability_does_not_apply() -> None:
    assert grade({"a": MET}, [], trains=True, not_applicable=True) is Status.NOT_APPLICABLE
