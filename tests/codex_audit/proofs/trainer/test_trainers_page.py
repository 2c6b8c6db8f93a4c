"""The example of the page on trainers stands trial as it is printed there."""

from __future__ import annotations

import re
from pathlib import Path

from codex_audit.gates.base import Context
from codex_audit.gates.trainer_smoke_cpu import run
from codex_audit.outcome import Verdict
from codex_audit.settings import Settings, TrainerSettings

PAGE = Path(__file__).resolve().parents[4] / "docs" / "trainers.md"


def example() -> str:
    found = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    return found.group(1)


def tried(where: Path, code: str) -> dict[str, Verdict]:
    root, scratch = where / "repository", where / "scratch"
    for directory in (root, scratch):
        directory.mkdir(parents=True)
    (root / "example.py").write_text(code, encoding="utf-8")
    settings = Settings(trainer=TrainerSettings(factory="example:Run"))
    report = run(Context(root, settings, (), scratch, 300))
    assert report.errors == ()
    return {check.id: check.verdict for check in report.checks}


def test_the_example_passes_whatever_it_can_be_tried_for(tmp_path: Path) -> None:
    verdicts = tried(tmp_path, example())
    assert verdicts["resume_bit_exact"] is Verdict.PASS
    assert verdicts["rng_restored"] is Verdict.PASS
    assert Verdict.FAIL not in verdicts.values()


def test_the_example_without_its_generator_is_refuted(tmp_path: Path) -> None:
    code = example().replace("        torch.set_rng_state(generator)\n", "")
    verdicts = tried(tmp_path, code)
    assert verdicts["resume_bit_exact"] is Verdict.FAIL
    assert verdicts["rng_restored"] is Verdict.FAIL
    assert verdicts["state_restored"] is Verdict.PASS
