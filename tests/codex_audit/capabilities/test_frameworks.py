"""Every framework has small trees: one in which each of its claims holds, and near misses."""

from __future__ import annotations

import math
import re
import shutil
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from codex_audit.capabilities import catalog as catalog_module
from codex_audit.capabilities.catalog import CatalogError, load_catalog
from codex_audit.capabilities.evaluate import _Evaluation
from codex_audit.capabilities.frameworks import Frameworks, covers, declared_version, lowest, parsed
from codex_audit.capabilities.match import Findings
from codex_audit.capabilities.model import Claim, FrameworkRule
from codex_audit.capabilities.probes import Probes
from codex_audit.capabilities.survey import survey
from codex_audit.records import Answer
from codex_audit.scan import scan
from codex_audit.settings import load_settings
from codex_audit.tree.facts import Fact, Found
from codex_audit.tree.files import list_tree
from codex_audit.tree.requirement_facts import requirement

if TYPE_CHECKING:
    from collections.abc import Callable

    Trees = Callable[[str, str], tuple[Probes, list[Found]]]

FIXTURES = Path(__file__).parents[2] / "fixtures" / "frameworks"
RULES = load_catalog().frameworks
VERSIONED = [
    (name, number)
    for name, rule in RULES.items()
    for number, claim in enumerate(rule.claims)
    if claim.since or claim.until
]


@pytest.fixture(scope="session")
def facts_of(tmp_path_factory: pytest.TempPathFactory) -> Trees:
    probes = Probes(load_catalog().signals())

    @cache
    def read(name: str, which: str) -> tuple[Probes, list[Found]]:
        root = tmp_path_factory.mktemp(name) / which
        shutil.copytree(FIXTURES / name / which, root)  # away from this repository's own git
        return probes, survey(list_tree(root, ()), probes)

    return read


def frameworks(read: tuple[Probes, list[Found]], specified: str = "") -> Frameworks:
    """What is found in a tree whose pinned.txt requires what is specified."""
    probes, files = read
    fact = requirement(specified, 1, "runtime")
    pinned = [Found("pinned.txt", "core", 1, requirements=(fact,))] if fact else []
    every = [*files, *pinned]
    findings = Findings(probes, every)
    return _Evaluation(
        load_catalog(), findings, every, Path(), lambda _path, _line: "", {}, ()
    )._frameworks


def allowing(claim: Claim, package: str) -> str:
    """A requirement for which the claim holds."""
    if claim.since:
        return f"{package}>={claim.since}"
    return f"{package}<{claim.until}" if claim.until else ""


def test_every_framework_has_its_trees() -> None:
    assert {path.name for path in FIXTURES.iterdir()} == set(RULES)


@pytest.mark.parametrize("name", list(RULES))
def test_every_claim_holds_in_a_tree_that_meets_it(name: str, facts_of: Trees) -> None:
    rule = RULES[name]
    for claim in rule.claims:
        specified = allowing(claim, rule.packages[0]) if rule.packages else ""
        found = frameworks(facts_of(name, "meets"), specified)
        assert found._holds(name, rule, claim), f"{claim.criteria} needs {claim.needs}"
        for key in claim.criteria:
            assert found.provides(key).reason.startswith("through "), key


@pytest.mark.parametrize("name", list(RULES))
def test_no_claim_that_an_option_turns_on_holds_in_a_near_miss(name: str, facts_of: Trees) -> None:
    rule = RULES[name]
    found = frameworks(facts_of(name, "nearly"))
    default = {claim.needs for claim in rule.claims if len(claim.needs) == 1}
    options = [claim for claim in rule.claims if claim.needs not in default]
    assert [claim for claim in options if found._holds(name, rule, claim)] == []
    # A near miss is not an empty tree: it imports something of the framework, or of its kind.
    texts = [path.read_text("utf-8") for path in (FIXTURES / name / "nearly").glob("*.py")]
    assert any(re.search(r"^(import|from) (?!data)", text, re.MULTILINE) for text in texts)


@pytest.mark.parametrize("name", list(RULES))
def test_no_default_holds_where_the_framework_is_hardly_used(name: str, facts_of: Trees) -> None:
    rule = RULES[name]
    which = "unused" if (FIXTURES / name / "unused").exists() else "nearly"
    found = frameworks(facts_of(name, which))
    assert [claim for claim in rule.claims if found._holds(name, rule, claim)] == []


@pytest.mark.parametrize(("name", "number"), VERSIONED, ids=[f"{n}-{i}" for n, i in VERSIONED])
def test_a_claim_holds_from_its_version_on_and_until_the_other(
    name: str, number: int, facts_of: Trees
) -> None:
    rule = RULES[name]
    claim = rule.claims[number]
    edges = [(f"=={claim.since}", True), (f"<{claim.since}", False)] if claim.since else []
    edges += [(f"<{claim.until}", True), (f"=={claim.until}", False)] if claim.until else []
    for specifier, holds in edges:
        found = frameworks(facts_of(name, "meets"), rule.packages[0] + specifier)
        # Only this claim, so that no other one provides the criterion.
        alone = {name: msgspec.structs.replace(rule, claims=(claim,))}
        only = Frameworks(alone, found._matcher, found._files)
        provided, missed = only.provides(claim.criteria[0]), only.shortfall(claim.criteria[0])
        assert bool(provided.reason) is holds, specifier
        assert bool(missed.reason) is not holds, specifier
        if not holds:
            assert missed.hits[0].path == "pinned.txt"
            assert all(edge in missed.reason for edge in (claim.since, claim.until))


@pytest.mark.parametrize(
    ("specifier", "version"),
    [
        ("", (math.inf,)),
        (">=4.35", (4, 35)),
        (">=4.35.0", (4, 35)),
        ("==4.28.*", (4, 28)),
        ("===1.0", (1,)),
        ("~=2.3.1,!=2.3.4", (2, 3, 1)),
        (">2,<3", (2,)),
        ("4.30.2", (4, 30, 2)),
        ("<5", (4, math.inf)),
        ("<2.4.0", (2, 3, math.inf)),
        ("<=2.4", (2, 4)),
        ("!=2.0", (math.inf,)),
    ],
)
def test_the_lowest_version_that_a_specifier_allows(
    specifier: str, version: tuple[float, ...]
) -> None:
    assert lowest(specifier) == version


@pytest.mark.parametrize(
    ("version", "holds"),
    [
        ("4.35", False),
        ("4.36", True),
        ("4.36.0", True),
        ("4.38.2", True),
        ("4.39", False),
        ("5", False),
    ],
)
def test_a_claim_covers_from_since_to_before_until(version: str, holds: bool) -> None:
    claim = Claim(
        criteria=("a.b",), needs=("x",), text="x", reference="x", since="4.36", until="4.39.0"
    )
    assert covers(claim, parsed(version)) is holds


def required(path: str, role: str, specifier: str, group: str = "runtime", line: int = 1) -> Found:
    fact = Fact("requirement", "trl", line, specifier, tags=(group,))
    return Found(path, role, 1, requirements=(fact,))


@pytest.mark.parametrize(
    ("stated", "shown"),
    [
        ([], "newest, as no requirement names it"),
        ([required("requirements.txt", "core", "")], "newest, as requirements.txt:1 names no version"),
        ([required("a.txt", "core", ">=2"), required("b.txt", "core", ">=1.5")], ">=1.5 by b.txt:1"),
        ([required("a.txt", "core", ""), required("b.txt", "core", ">=1.5")], ">=1.5 by b.txt:1"),
        ([required("a.txt", "core", ">=1", "extra:dev"), required("b.txt", "core", ">=2")], ">=2 by b.txt:1"),
        ([required("tests/r.txt", "test", ">=1"), required("b.txt", "core", ">=2", "extra:x")], ">=2 by b.txt:1"),
        ([required("tests/r.txt", "test", ">=1")], ">=1 by tests/r.txt:1"),
    ],
)  # fmt: skip
def test_the_requirement_that_counts(stated: list[Found], shown: str) -> None:
    assert declared_version(stated, ("trl",)).shown == shown


TRAINER = "from transformers import Trainer, TrainingArguments\nt = Trainer(model, TrainingArguments('out'{}))\nt.train(resume_from_checkpoint=True)\n"


def scanned(tmp_path: Path, **texts: str) -> Callable[[str, str], Any]:
    for name, text in texts.items():
        (tmp_path / name.replace("__", ".")).write_text(text, encoding="utf-8")
    found = scan(tmp_path, load_settings(tmp_path))
    return lambda capability, criterion: found.capabilities[capability].criteria[criterion]


def test_the_reason_names_the_version_and_where_it_is_declared(tmp_path: Path) -> None:
    answer = scanned(
        tmp_path, train__py=TRAINER.format(""), requirements__txt="torch\ntransformers>=4.6\n"
    )
    found = answer("checkpointing_resume", "cpu_rng_restored")
    assert found.answer is Answer.MET
    assert found.reason.startswith("through transformers.Trainer (>=4.6 by requirements.txt:2): ")
    assert [(one.path, one.line) for one in found.evidence] == [("train.py", 3)]


def test_the_gap_says_which_version_would_do(tmp_path: Path) -> None:
    answer = scanned(
        tmp_path, train__py=TRAINER.format(""), requirements__txt="transformers>=4.5\n"
    )
    found = answer("checkpointing_resume", "cpu_rng_restored")
    assert found.answer is Answer.UNMET
    assert found.gap.endswith(
        "; transformers.Trainer does it only from 4.6 on: requirements.txt:1 allows transformers 4.5"
    )
    assert found.nearest is not None
    assert (found.nearest.path, found.nearest.line) == ("requirements.txt", 1)


def test_code_that_newer_versions_cannot_run_is_judged_by_an_older_one(tmp_path: Path) -> None:
    files = {
        "train__py": TRAINER.format(", no_cuda=True"),
        "requirements__txt": "transformers\nwandb\n",
    }
    found = scanned(tmp_path, **files)("experiment_tracking", "tracker")
    assert found.answer is Answer.MET
    assert "(newest before 5.0, which removed what train.py:2 uses)" in found.reason


def test_without_a_requirement_the_newest_counts(tmp_path: Path) -> None:
    found = scanned(tmp_path, train__py=TRAINER.format(""), requirements__txt="wandb\n")(
        "experiment_tracking", "tracker"
    )
    assert found.answer is Answer.UNMET
    assert found.gap.endswith(
        "transformers.Trainer does it only before 5.0: the newest counts, as no requirement names it"
    )


GOOD = """
title = "X"
packages = ["x"]
[signals]
used = [{ call = "x.y" }]
[[claims]]
criteria = ["deployment.container"]
needs = ["used"]
text = "it does"
since = "1.2"
reference = "x 1.2: x.py: def y"
"""


def test_a_sound_file_is_read() -> None:
    rule = catalog_module._read("frameworks/x.toml", GOOD, FrameworkRule)
    assert rule.criteria == {"deployment.container"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("text =", "txet =", "txet"),
        ('"x 1.2: x.py: def y"', '"somewhere"', "claims[0].reference"),
        ('"1.2"', '"four"', "claims[0].since"),
        ('["used"]', "[]", "claims[0].needs"),
        ("[signals]", "[signal]", "signal"),
        ('call = "x.y"', 'cal = "x.y"', "cal"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_its_key(old: str, new: str, message: str) -> None:
    with pytest.raises(CatalogError, match=re.escape("frameworks/x.toml")) as caught:
        catalog_module._read("frameworks/x.toml", GOOD.replace(old, new), FrameworkRule)
    assert message.removeprefix("claims[0].") in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("deployment.container", "deployment.contianer", "criteria: unknown criterion"),
        ('["used"]', '["usde"]', "'usde' is none of [signals]"),
        ("used =", 'idle = [{ call = "x.z" }]\nused =', "signals.idle: no claim needs it"),
        ('packages = ["x"]\n', "", "since: whose version?"),
    ],
)
def test_a_claim_that_leads_nowhere_is_refused(old: str, new: str, message: str) -> None:
    rule = catalog_module._read("frameworks/x.toml", GOOD.replace(old, new), FrameworkRule)
    catalog = msgspec.structs.replace(load_catalog(), frameworks={"x": rule})
    with pytest.raises(CatalogError, match=re.escape("frameworks/x.toml")) as caught:
        catalog_module.check(catalog)
    assert message in str(caught.value)


def test_a_claim_with_a_version_refers_to_it() -> None:
    """The release that a reference names is the first, or the last, for which the claim holds."""
    for name, rule in RULES.items():
        for claim in rule.claims:
            release = re.match(r"[a-z0-9-]+ ([\d.]*\d)", claim.reference)
            if release is not None and (claim.since or claim.until):
                assert covers(claim, parsed(release[1])), f"{name}: {claim.reference}"
                if claim.since:
                    assert parsed(release[1]) == parsed(claim.since), f"{name}: {claim.reference}"
