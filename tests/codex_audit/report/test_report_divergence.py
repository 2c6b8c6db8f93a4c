"""Where two runs part is shown as a table and as bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

from status_factory import SETTINGS, outcome, scan, write_all

from codex_audit.outcome import Verdict
from codex_audit.report.divergence import Divergence, Row, divergences
from codex_audit.report.markdown import render
from codex_audit.report.merge import merge

if TYPE_CHECKING:
    from pathlib import Path

ROWS = (
    Row(8, "0.5", "0.5", None, 0.0, 0),
    Row(9, "0.4", "0.41", "head.weight", 1e-6, 12),
    Row(10, "0.3", "0.33", "head.weight", 1e-3, 9000),
    Row(11, "nan", "0.3", "head.weight", None, None),
)


def test_facts_become_rows_and_anything_else_is_left_out() -> None:
    told = {
        "resume_bit_exact": {
            "step": 9,
            "cause": "the sampler restarts",
            "components": ["batch"],
            "rows": [{"step": 9, "loss": "0.4", "other_loss": "0.41"}],
        },
        "another": {"figures": [1, 2]},
        "empty": {"step": 1, "cause": "none", "rows": []},
    }
    (found,) = divergences({"divergences": told})
    assert found == Divergence(
        "resume_bit_exact", 9, "the sampler restarts", (Row(9, "0.4", "0.41"),)
    )
    assert divergences({"divergences": 3}) == ()
    assert divergences({}) == ()


def test_bars_grow_with_the_logarithm_of_the_distance() -> None:
    plot = Divergence("resume_bit_exact", 9, "a cause", ROWS).plot
    assert plot == "·▁█?  1.0e-06 to 1.0e-03, logarithmic"


def test_nothing_measured_is_no_plot() -> None:
    assert Divergence("resume_bit_exact", 9, "a cause", ROWS[:1]).plot == ""


def test_the_document_shows_the_table_and_the_bars(tmp_path: Path) -> None:
    rows = [
        {"step": 9, "loss": "0.4", "other_loss": "0.41", "parameter": "head|w", "max_abs": 1e-6},
        {"step": 10, "loss": "0.3", "other_loss": "0.33", "parameter": "head|w", "max_abs": 1e-3},
    ]
    told = {"resume_bit_exact": {"step": 9, "cause": "the sampler restarts", "rows": rows}}
    facts = {"subject": {"name": "t:make", "in_tree": True}, "divergences": told}
    trial = outcome("trainer-smoke-cpu", Verdict.FAIL, facts=facts)
    document = merge(scan(), write_all(tmp_path, trial), SETTINGS)
    text = render(document)
    assert "`resume_bit_exact` from step 9 on: the sampler restarts." in text
    assert "| 10 | 0.3 | 0.33 | `head\\|w` | 0.001 | unknown |" in text
    assert "▁█  1.0e-06 to 1.0e-03, logarithmic" in text
