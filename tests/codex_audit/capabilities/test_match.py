from __future__ import annotations

from typing import Any

import msgspec
import pytest

from codex_audit.capabilities.callers import Callers
from codex_audit.capabilities.catalog import deep
from codex_audit.capabilities.match import Findings, Matcher
from codex_audit.capabilities.model import Signal
from codex_audit.capabilities.probes import Probes
from codex_audit.tree.extract import extract
from codex_audit.tree.roles import role_of
from codex_audit.tree.symbols import Symbols

SAVE = {"call": "torch.save"}
OPTIMIZER = {"key": "optimizer"}


def find(
    files: dict[str, str],
    *signals: dict[str, Any],
    entrances_first: bool = False,
    topic: int | None = None,
) -> list[tuple[str, int]]:
    """Where the signals hold; the first `topic` of them are the capability's own."""
    asked = msgspec.convert(signals, tuple[Signal, ...])
    probes = Probes(deep(asked))
    found = []
    for path, text in files.items():
        here = probes.of(role_of(path))
        found.append(here.find(extract(path, role_of(path), text.encode(), here)))
    findings = Findings(probes, found)
    matcher = Matcher(findings, lambda _criterion: None, Callers(Symbols(found)))
    hits = matcher.first(
        asked[:topic],
        entrances_first=entrances_first,
        topic=None if topic is None else findings.counts(deep(asked[:topic])),
    )
    return [(hit.path, hit.line) for hit in hits]


SAVER = "import torch\ndef save(o):\n    torch.save({'optimizer': o}, 'x')\n"
CACHE = "import torch\ndef cache(x):\n    torch.save(x, 'cache.pt')\ndef keys():\n    return {'optimizer': 1}\n"


def test_a_name_is_found_where_code_runs_and_not_in_tests() -> None:
    files = {
        "tests/test_a.py": SAVER,
        "examples/demo.py": SAVER,
        "pkg/a.py": SAVER,
        "scripts/train.py": SAVER,
    }
    assert find(files, SAVE) == [("pkg/a.py", 3), ("scripts/train.py", 3)]
    assert find(files, {**SAVE, "roles": ["test"]}) == [("tests/test_a.py", 3)]
    assert len(find(files, {**SAVE, "roles": ["*"]})) == 4


def test_core_code_comes_before_scripts_and_earlier_signals_before_later() -> None:
    files = {
        "pkg/z.py": "import b\nb.second()\n",
        "scripts/train.py": "import b\nb.first()\n",
        "pkg/y.py": "import b\nb.first()\n",
    }
    assert find(files, {"call": "b.first"}, {"call": "b.second"}) == [
        ("pkg/y.py", 2),
        ("pkg/z.py", 2),
        ("scripts/train.py", 2),
    ]


def test_files_come_first_in_which_much_is_found_and_those_near_the_root() -> None:
    much = SAVER + "import b\nb.first()\nb.second()\n"
    files = {"a/b/c.py": SAVER, "a/b.py": SAVER, "z/much.py": much, "train.py": SAVER}
    more = [{"call": "b.first"}, {"call": "b.second"}, {"key": "optimizer"}]
    found = [path for path, line in find(files, SAVE, *more) if line == 3]
    assert found[:4] == ["z/much.py", "train.py", "a/b.py", "a/b/c.py"]


def test_of_what_is_found_in_a_file_that_counts_first_which_is_of_the_topic() -> None:
    files = {
        "a.py": SAVER + "import b\nb.second()\nb.third()\nb.fourth()\n",
        "b.py": SAVER + "import b\nb.first()\n",
    }
    others = [{"call": f"b.{name}"} for name in ("second", "third", "fourth", "fifth")]
    asked = [SAVE, {"call": "b.first"}, OPTIMIZER, *others]
    assert [path for path, _ in find(files, *asked)][:2] == ["a.py", "b.py"]
    assert [path for path, _ in find(files, *asked, topic=3)][:2] == ["b.py", "a.py"]


def test_what_is_asked_of_a_run_is_shown_where_one_starts_and_last_where_a_model_is_used() -> None:
    files = {"eval_x.py": SAVER, "model.py": SAVER, "train.py": SAVER, "viewer/a.py": SAVER}
    assert [path for path, _ in find(files, SAVE, entrances_first=True)] == [
        "train.py",
        "model.py",
        "eval_x.py",
        "viewer/a.py",
    ]
    assert [path for path, _ in find(files, SAVE)][:2] == ["eval_x.py", "model.py"]


def test_an_earlier_signal_comes_before_an_entrance() -> None:
    files = {"model.py": "import b\nb.first()\n", "train.py": "import b\nb.second()\n"}
    first, second = {"call": "b.first"}, {"call": "b.second"}
    assert [path for path, _ in find(files, first, second, entrances_first=True)] == [
        "model.py",
        "train.py",
    ]


@pytest.mark.parametrize(("within", "found"), [("repo", True), ("file", True), ("scope", False)])
def test_both_halves_are_found_in_the_scope_that_is_named(within: str, found: bool) -> None:
    assert bool(find({"pkg/a.py": CACHE}, {"all": [SAVE, OPTIMIZER], "within": within})) is found
    assert find({"pkg/a.py": SAVER}, {"all": [SAVE, OPTIMIZER], "within": within}) == [
        ("pkg/a.py", 3)
    ]


def test_none_holds_where_nothing_is_found() -> None:
    both = {"pkg/a.py": SAVER, "pkg/b.py": CACHE}
    alone = {"all": [SAVE, {"none": [OPTIMIZER]}], "within": "scope"}
    assert find(both, alone) == [("pkg/b.py", 3)]
    assert find(both, {**alone, "within": "file"}) == []


@pytest.mark.parametrize(
    ("modifier", "found"),
    [
        ({"kw": {"weights_only": "True"}}, [2]), ({"no_kw": ["weights_only"]}, [3]),
        ({"value": "best"}, [3]), ({"not_value": "best"}, [2]), ({"path": "pkg/*"}, [2, 3]),
        ({"path": "other/*"}, []), ({"scope": "^$"}, [2, 3]), ({"scope": "main"}, []),
    ],
)  # fmt: skip
def test_modifiers(modifier: dict[str, Any], found: list[int]) -> None:
    source = "import torch\ntorch.load(p, weights_only=True)\ntorch.load('best.pt')\n"
    assert [
        line for _, line in find({"pkg/a.py": source}, {"call": "torch.load", **modifier})
    ] == found


def test_tags_are_bases_and_decorators() -> None:
    source = "import torch\nclass Data(torch.utils.data.Dataset): pass\nclass Other: pass\n"
    assert find({"pkg/a.py": source}, {"class": "*", "tag": "*.Dataset"}) == [("pkg/a.py", 2)]
    assert find({"pkg/a.py": source}, {"class": "*", "not_tag": "*.Dataset"}) == [("pkg/a.py", 3)]


def test_at_least_counts_files() -> None:
    pages = {"docs/a.md": "# A\n", "docs/b.md": "# B\n"}
    assert len(find(pages, {"file": "*.md", "at_least": 2})) == 2
    assert find({"docs/a.md": "# A\n# B\n"}, {"heading": "1", "at_least": 2}) == []


def test_requirements_are_judged_by_their_lower_bound() -> None:
    load = {"all": [{"call": "torch.load"}, {"none": [{"requirement": "torch", "min": "2.6"}]}]}
    source = "import torch\ntorch.load(p)\n"
    assert find({"pkg/a.py": source, "requirements.txt": "torch>=2.1\n"}, load) == [("pkg/a.py", 2)]
    assert find({"pkg/a.py": source, "requirements.txt": "torch==2.9.1\n"}, load) == []


@pytest.mark.parametrize(
    "wrong", [{}, {"call": "a", "key": "b"}, {"none": [SAVE]}, {"all": [{"none": [SAVE]}]}]
)
def test_signals_that_ask_nothing_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"signal|none"):
        find({"pkg/a.py": SAVER}, wrong)


def test_what_is_superseded_comes_last() -> None:
    files = {"kit/legacy_main.py": SAVER, "kit/main.py": SAVER}
    assert [path for path, _ in find(files, SAVE)] == ["kit/main.py", "kit/legacy_main.py"]


def test_what_converts_comes_last() -> None:
    files = {"kit/convert_weights.py": SAVER, "kit/main.py": SAVER}
    assert [path for path, _ in find(files, SAVE)] == ["kit/main.py", "kit/convert_weights.py"]


@pytest.mark.parametrize("wrong", [{"call": "re:("}, {"call": "torch.*", "value": "("}])
def test_a_signal_that_cannot_be_asked_says_so_and_hides_no_other(wrong: dict[str, Any]) -> None:
    either = {"any": [wrong]}
    with pytest.raises(ValueError, match="missing \\), unterminated subpattern"):
        find({"pkg/a.py": SAVER}, either)
    rules = [{"call": "never", "value": "("}, SAVE]
    assert find({"pkg/a.py": SAVER}, *rules) == [("pkg/a.py", 3)]
