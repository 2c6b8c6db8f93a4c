"""Trackers by name: missing packages, ranks, mistakes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from codex_ml_isolated import run_alone

from codex_ml.tracking import open_tracker, records

if TYPE_CHECKING:
    from pathlib import Path

ABSENT = """
import json, sys, warnings
from pathlib import Path

class Absent:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in {"tensorboard", "mlflow", "wandb"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from codex_ml.tracking import open_tracker
slow = {"torch", "tensorboard", "mlflow", "wandb"} & set(sys.modules)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    with open_tracker(["tensorboard", "mlflow", "wandb", "wandb"], Path(sys.argv[1])) as tracker:
        tracker.log_metrics({"loss": 1.0}, 1)
print(json.dumps([sorted(slow), *(str(warning.message) for warning in caught)]))
"""


def test_without_the_packages_there_is_one_warning_each_and_a_local_file(tmp_path: Path) -> None:
    done = run_alone(ABSENT, tmp_path, str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr

    slow, *warned = json.loads(done.stdout)
    assert slow == []  # nothing is imported before it is asked for
    assert len(warned) == 3
    for name, text in zip(("tensorboard", "mlflow", "wandb"), warned, strict=True):
        assert text.startswith(f"{name} cannot be used (ModuleNotFoundError: No module named")
        assert "pip install 'codex-audit[tracking]'" in text
        assert str(tmp_path / "run" / "metrics.jsonl") in text
    kinds = [line["kind"] for line in records(tmp_path / "run" / "metrics.jsonl")]
    assert kinds == ["metrics", "end"]


def test_an_unknown_kind_is_an_error_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no tracker 'tensorbord'; there are jsonl, tensorboard"):
        open_tracker(["jsonl", "tensorbord"], tmp_path)  # type: ignore[list-item]


def test_other_ranks_write_a_file_of_their_own_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "3")
    with open_tracker(["jsonl", "mlflow"], tmp_path) as tracker:
        tracker.log_metrics({"loss": 1.0}, 1)
        assert tracker.others == {}
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.rank3.jsonl"]
