from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conftest import git

from codex_audit import static_audit
from codex_audit.capabilities import survey as survey_module
from codex_audit.capabilities.frameworks import Frameworks, Provided
from codex_audit.records import Answer, Status
from codex_audit.report.formats import find_format
from codex_audit.report.merge import merge
from codex_audit.scan import scan
from codex_audit.settings import SettingsError, load_settings
from codex_audit.tree import extract as extract_module

if TYPE_CHECKING:
    from collections.abc import Callable

    from codex_audit.records import Scan
    from codex_audit.tree.facts import FileFacts, Found

    Make = Callable[[dict[str, str]], Path]

TRAIN = """\
import random

import torch

random.seed(1)
torch.manual_seed(1)
model = torch.nn.Linear(2, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range(10):
    loss = model(torch.ones(2)).sum()
    loss.backward()
    optimizer.step()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}, "ckpt.pt")
"""


def audit(root: Path) -> Scan:
    return scan(root, load_settings(root))


def test_a_training_script_is_read_with_its_lines(make_repository: Make) -> None:
    root = make_repository({"train.py": TRAIN})
    found = audit(root)
    assert found.trains
    checkpointing = found.capabilities["checkpointing_resume"]
    assert checkpointing.status is Status.PARTIALLY
    saved = checkpointing.criteria["optimizer_state_saved"]
    assert saved.answer is Answer.MET
    assert str(saved.evidence[0]) == "train.py:13"
    assert "optimizer.state_dict()" in saved.evidence[0].snippet
    rng = checkpointing.criteria["cpu_rng_restored"]
    assert (rng.answer, rng.evidence) == (Answer.UNMET, ())
    assert rng.gap
    assert rng.remedy
    assert found.provenance.commit == git(root, "rev-parse", "HEAD").strip()
    assert found.provenance.dirty is False


@pytest.mark.parametrize(
    ("files", "impact"), [({"train.py": TRAIN}, 3), ({"app.py": "print(1)\n"}, 1)]
)
def test_what_is_of_runs_is_of_little_impact_where_nothing_is_trained(
    make_repository: Make, files: dict[str, str], impact: int
) -> None:
    criteria = audit(make_repository(files)).capabilities["config_mgmt"].criteria
    assert criteria["config_saved_with_run"].impact == impact
    assert criteria["cli_overrides"].impact == 2


def test_the_checklist_follows_from_what_is_there(make_repository: Make) -> None:
    found = audit(
        make_repository({"train.py": TRAIN, "pyproject.toml": '[project]\nname = "x"\n'})
    ).reproducibility
    assert [(seed.rng, str(seed.evidence)) for seed in found.seeds] == [
        ("python", "train.py:5"),
        ("torch", "train.py:6"),
    ]
    assert found.lock_files == ()  # a pyproject.toml is not a lock file
    text = " ".join(found.recommendations)
    assert "numpy.random.seed" in text
    assert "`random.seed`" not in text
    assert "Lock the whole dependency set" in text


def test_what_is_there_is_not_recommended(make_repository: Make) -> None:
    extra = "import numpy\nnumpy.random.seed(0)\ntorch.use_deterministic_algorithms(True)\n"
    found = audit(
        make_repository({"train.py": TRAIN + extra, "uv.lock": "version = 1\n"})
    ).reproducibility
    assert found.lock_files == ("uv.lock",)
    assert [str(one) for one in found.determinism] == ["train.py:16"]
    assert not any(
        "Seed every" in one or "Lock the" in one or "deterministic" in one
        for one in found.recommendations
    )


def test_a_repository_that_trains_nothing(make_repository: Make) -> None:
    found = audit(
        make_repository({"app.py": "def main():\n    return 1\n", "README.md": "# App\n"})
    )
    assert not found.trains
    assert {name for name, one in found.capabilities.items() if one.status is Status.NOT_APPLICABLE} >= {
        "checkpointing_resume", "evaluation_metrics", "experiment_tracking", "training_engine",
    }  # fmt: skip
    assert not [
        (name, key)
        for name in (
            "checkpointing_resume",
            "training_engine",
            "tokenization",
            "evaluation_metrics",
        )
        for key, one in found.capabilities[name].criteria.items()
        if one.answer is Answer.MET
    ]


def test_stubs_alone_are_stubbed(make_repository: Make) -> None:
    stub = "\n\ndef save_checkpoint(path):\n    raise NotImplementedError\n"
    source = TRAIN.replace(
        '    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}, "ckpt.pt")\n',
        "",
    )
    found = audit(make_repository({"train.py": source + stub}))
    checkpointing = found.capabilities["checkpointing_resume"]
    assert checkpointing.status is Status.STUBBED
    assert [str(one) for one in checkpointing.stubs] == ["train.py:15"]
    assert [str(one) for one in found.repo_map.stubs] == ["train.py:15"]


def test_the_repository_map_counts_lines_and_what_is_unfinished(make_repository: Make) -> None:
    mapped = audit(
        make_repository(
            {
                "a.py": "x = 1  # TODO: more\n\n\ndef later(): ...\n",
                "b.md": "# B\n",
                "third_party/c.py": "",
            }
        )
    ).repo_map
    assert (mapped.files, mapped.python_files, mapped.python_loc) == (2, 1, 4)
    assert [str(one) for one in (*mapped.stubs, *mapped.markers)] == ["a.py:4", "a.py:1"]
    assert mapped.stub_density == 500.0
    assert [(one.name, one.files, one.lines) for one in mapped.languages] == [
        ("Python", 1, 4),
        ("Markdown", 1, 1),
    ]
    assert [(one.reason, one.count) for one in mapped.left_out] == [("vendored", 1)]


def test_files_that_do_not_parse_are_named_and_not_fatal(make_repository: Make) -> None:
    found = audit(
        make_repository({"train.py": TRAIN, "old.py": "print 'two'\n", "bad.yaml": "a: [1\n"})
    )
    assert [(one.path, one.line) for one in found.repo_map.unparsed] == [
        ("bad.yaml", 2),
        ("old.py", 1),
    ]
    (error,) = found.errors
    assert (error.phase, error.step) == (2, "repository_mapping")
    assert "old.py:1" in error.message
    assert found.capabilities["checkpointing_resume"].status is Status.PARTIALLY


def test_nothing_is_imported_run_or_written(make_repository: Make) -> None:
    trap = "import pathlib\npathlib.Path('trap').write_text('sprung')\nraise SystemExit('run')\n"
    root = make_repository(
        {
            "setup.py": trap,
            "conftest.py": trap,
            "pkg/__init__.py": trap,
            "sitecustomize.py": trap,
            "torch.py": trap,
        }
    )
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    modules = set(sys.modules)
    audit(root)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    assert not {"pkg", "torch", "conftest_trap"} & (set(sys.modules) - modules)


def test_a_rule_that_crashes_makes_its_criterion_unknown(
    make_repository: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = Frameworks.provides

    def crash(self: Frameworks, key: str) -> Provided:
        if key == "training_engine.gradient_clipping":
            raise ZeroDivisionError("broken rule")
        return good(self, key)

    monkeypatch.setattr(Frameworks, "provides", crash)
    found = audit(make_repository({"train.py": TRAIN}))
    assert (
        found.capabilities["training_engine"].criteria["gradient_clipping"].answer is Answer.UNKNOWN
    )
    assert [(one.phase, one.message) for one in found.errors] == [(3, "broken rule")]
    assert found.capabilities["checkpointing_resume"].status is Status.PARTIALLY


def test_settings_declare_what_does_not_apply(make_repository: Make) -> None:
    declared = '[tool.codex-audit.not-applicable]\ndeployment = "run by hand"\n"checkpointing_resume.retention" = "one run"\n'
    found = audit(make_repository({"train.py": TRAIN, "pyproject.toml": declared}))
    assert found.capabilities["deployment"].status is Status.NOT_APPLICABLE
    retention = found.capabilities["checkpointing_resume"].criteria["retention"]
    assert (retention.answer, retention.reason) == (Answer.NOT_APPLICABLE, "settings: one run")


def test_declaring_something_unknown_is_refused_by_file_and_key(make_repository: Make) -> None:
    root = make_repository(
        {"pyproject.toml": '[tool.codex-audit.not-applicable]\n"training.loop" = "x"\n'}
    )
    with pytest.raises(
        SettingsError, match=r"pyproject.toml: \[tool.codex-audit\] not-applicable.*training.loop"
    ):
        audit(root)


def test_an_empty_directory_is_a_repository_with_nothing_in_it(tmp_path: Path) -> None:
    found = audit(tmp_path)
    assert (found.repo_map.files, found.repo_map.stub_density) == (0, 0.0)
    assert not found.trains


def test_odd_names_and_lines_leave_the_document_whole(make_tree: Make) -> None:
    odd = "torch.manual_seed(1)  # TODO \x1b[31m \u2028 | x\n"
    root = make_tree({"train.py": TRAIN, "a\nb|`.py": odd})
    Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9.py")).write_text(odd)
    found = audit(root)
    markdown = find_format("markdown").render(merge(found, None, load_settings(root)))
    assert "\x1b" not in markdown
    assert "\u2028" not in markdown
    assert markdown.encode()
    assert [one.path for one in found.repo_map.markers] == [r"a\nb|`.py", r"caf\xe9.py"]


def test_a_fault_of_a_reader_costs_one_file_and_is_shown(
    make_repository: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def extract(path: str, *rest: object) -> FileFacts:
        if path == "odd.py":
            raise ZeroDivisionError("broken\nreader")
        return extract_module.extract(path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(survey_module, "extract", extract)
    found = audit(make_repository({"train.py": TRAIN, "odd.py": ""}))
    (unparsed,) = found.repo_map.unparsed
    assert unparsed.reason == "its reader failed: ZeroDivisionError: broken reader"
    assert "odd.py:1" in found.errors[0].message
    assert found.trains


def test_several_processes_answer_as_one_does(
    make_repository: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_repository({"train.py": TRAIN, "bad.py": "(" * 5000, "a/b.yaml": "[" * 9000})
    alone = audit(root)
    monkeypatch.setattr(survey_module, "WORTH_PROCESSES", 0)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    together = audit(root)
    assert together.capabilities == alone.capabilities
    assert together.repo_map == alone.repo_map
    assert len(together.repo_map.unparsed) == 2


def test_a_file_that_vanishes_while_it_is_audited(
    make_repository: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_repository({"train.py": TRAIN, "gone.py": "x = 1  # TODO\n"})
    good = survey_module.survey

    def then_delete(*arguments: object) -> list[Found]:
        facts = good(*arguments)  # type: ignore[arg-type]
        (root / "train.py").unlink()
        (root / "gone.py").unlink()
        return facts

    monkeypatch.setattr(static_audit, "survey", then_delete)
    found = audit(root)
    saved = found.capabilities["checkpointing_resume"].criteria["optimizer_state_saved"]
    assert (str(saved.evidence[0]), saved.evidence[0].snippet) == ("train.py:13", "")
    assert found.provenance.dirty is False  # it is said of the tree that was read


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_a_captured_error(make_tree: Make) -> None:
    root = make_tree({"train.py": TRAIN, "secret/a.py": ""})
    (root / "secret").chmod(0)
    try:
        (error,) = audit(root).errors
    finally:
        (root / "secret").chmod(0o755)
    assert error.message == "1 directory could not be read: secret/"


def test_a_broken_repository_is_a_captured_error(make_tree: Make) -> None:
    root = make_tree({"train.py": TRAIN, ".git": "gitdir: /nowhere/at/all\n"})
    (error,) = audit(root).errors
    assert "not a git repository: /nowhere/at/all" in error.message
    assert error.remedy == "make `git status` work in this directory"


def test_a_file_is_no_tree(make_tree: Make) -> None:
    root = make_tree({"train.py": TRAIN})
    with pytest.raises(NotADirectoryError, match=r"train.py: not a directory; give"):
        scan(root / "train.py", load_settings(root))


def test_a_configured_trainer_means_that_the_repository_trains(make_repository: Make) -> None:
    settings = '[tool.codex-audit.trainer]\nfactory = "app:make"\n'
    found = audit(make_repository({"app.py": "def make(): return 1\n", "pyproject.toml": settings}))
    assert found.trains
    resume = found.capabilities["checkpointing_resume"].criteria["resume"]
    assert resume.answer is Answer.UNMET


def test_our_own_sessions_are_a_task_runner_that_lints(make_repository: Make) -> None:
    source = "from codex_audit.sessions import register\n\nregister(source='codex-audit==1')\n"
    criteria = (
        audit(make_repository({"noxfile.py": source})).capabilities["internal_ci_test"].criteria
    )
    for name in ("task_runner", "lint_enforced", "types_enforced", "coverage_measured"):
        assert str(criteria[name].evidence[0]) == "noxfile.py:3"
    bare = audit(make_repository({"noxfile.py": "from elsewhere import register\n\nregister()\n"}))
    assert bare.capabilities["internal_ci_test"].criteria["lint_enforced"].answer is Answer.UNMET


def test_a_second_audit_reads_only_what_changed(
    make_repository: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_repository({"train.py": TRAIN, "other.py": "x = 1\n", "bad.py": "def ("})
    read: list[str] = []
    good = extract_module.extract

    def extract(path: str, *rest: object) -> FileFacts:
        read.append(path)
        return good(path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(survey_module, "extract", extract)
    first = audit(root)
    assert sorted(read) == ["bad.py", "other.py", "train.py"]
    read.clear()
    second = audit(root)
    assert read == []
    assert second.capabilities == first.capabilities
    assert second.repo_map == first.repo_map
    (root / "other.py").write_text("import torch\ntorch.manual_seed(1)\n")
    third = audit(root)
    assert read == ["other.py"]
    assert third.reproducibility.seeds != first.reproducibility.seeds
    read.clear()
    uncached = scan(root, load_settings(root), cached=False)
    assert len(read) == 3
    assert uncached.capabilities == third.capabilities
