"""An audit of the same files by the same rules is not made again; any change makes it anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from codex_audit import static_audit
from codex_audit.capabilities.evaluate import evaluate
from codex_audit.scan import scan
from codex_audit.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from codex_audit.records import Scan

    Make = Callable[[Mapping[str, str]], Path]

TRAIN = """import torch

model = torch.nn.Linear(2, 1)
optimizer = torch.optim.Adam(model.parameters())
for batch in range(10):
    loss = model(torch.randn(4, 2)).sum()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, "last.pt")
"""


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One entry for each audit that was really made."""
    seen: list[str] = []
    good = survey_module.survey

    def counted(*arguments: object) -> object:
        seen.append("made")
        return good(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(static_audit, "survey", counted)
    return seen


def without_time(found: Scan) -> Scan:
    errors = tuple(msgspec.structs.replace(error, at="") for error in found.errors)
    timed = msgspec.structs.replace(found.provenance, started="", seconds=0.0)
    return msgspec.structs.replace(found, errors=errors, provenance=timed)


def test_the_second_audit_is_the_first_but_for_its_time(
    make_repository: Make, made: list[str]
) -> None:
    root = make_repository({"train.py": TRAIN, "bad.py": "def (\n"})
    first, second = scan(root, Settings()), scan(root, Settings())
    assert made == ["made"]
    assert without_time(first) == without_time(second)
    assert len(second.errors) == 1
    assert second.errors[0].at == second.provenance.started


def test_a_changed_file_is_audited_again(make_repository: Make, made: list[str]) -> None:
    root = make_repository({"train.py": TRAIN})
    before = scan(root, Settings())
    (root / "train.py").write_text(
        TRAIN.replace("import torch", "import torch\n\ntorch.manual_seed(3)")
    )
    after = scan(root, Settings())
    assert made == ["made", "made"]
    assert before.capabilities != after.capabilities


def test_other_settings_are_another_audit(make_repository: Make, made: list[str]) -> None:
    root = make_repository({"train.py": TRAIN})
    scan(root, Settings())
    declared = Settings(not_applicable={"deployment": "it is never deployed"})
    found = scan(root, declared)
    assert made == ["made", "made"]
    assert found.capabilities["deployment"].status == "Not applicable"


def test_without_the_cache_it_is_always_made(make_repository: Make, made: list[str]) -> None:
    root = make_repository({"train.py": TRAIN})
    for _ in range(2):
        scan(root, Settings(), cached=False)
    assert made == ["made", "made"]


def test_a_rule_that_crashed_is_asked_again(
    make_repository: Make, made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_repository({"train.py": TRAIN})
    good = evaluate

    def crashed(*arguments: object, **more: object) -> object:
        verdicts = good(*arguments, **more)  # type: ignore[arg-type]
        error = scan(make_broken(root), Settings()).errors[0]
        return msgspec.structs.replace(verdicts, errors=(error,))

    def make_broken(place: Path) -> Path:
        broken = place.parent / "broken"
        broken.mkdir()
        (broken / "bad.py").write_text("def (\n")
        monkeypatch.setattr(static_audit, "evaluate", good)
        return broken

    monkeypatch.setattr(static_audit, "evaluate", crashed)
    assert len(scan(root, Settings()).errors) == 1
    assert scan(root, Settings()).errors == ()
    assert made.count("made") == 3


def test_a_line_that_could_not_be_shown_is_read_again(
    make_repository: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_repository({"train.py": TRAIN})
    good = survey_module.survey

    def then_move(*arguments: object) -> object:
        found = good(*arguments)  # type: ignore[arg-type]
        (root / "train.py").rename(root.parent / "kept.py")
        return found

    monkeypatch.setattr(static_audit, "survey", then_move)
    first = (
        scan(root, Settings())
        .capabilities["checkpointing_resume"]
        .criteria["optimizer_state_saved"]
    )
    (root.parent / "kept.py").rename(root / "train.py")
    monkeypatch.setattr(static_audit, "survey", good)
    second = (
        scan(root, Settings())
        .capabilities["checkpointing_resume"]
        .criteria["optimizer_state_saved"]
    )
    assert first.evidence[0].snippet == ""
    assert "optimizer.state_dict()" in second.evidence[0].snippet
