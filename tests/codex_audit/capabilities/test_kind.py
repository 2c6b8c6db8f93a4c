"""Every kind has small trees: `is…`, which are of it, and `nearly-<kind>…`, which nearly are."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from click.testing import CliRunner

from codex_audit import static_audit
from codex_audit.capabilities import catalog as catalog_module
from codex_audit.capabilities.catalog import Catalog, CatalogError, load_catalog
from codex_audit.capabilities.model import KindRule, Signal
from codex_audit.cli import main
from codex_audit.projects import audited
from codex_audit.records import Answer, Scan, Status
from codex_audit.report.formats import find_format
from codex_audit.report.merge import merge
from codex_audit.report.summary import summary
from codex_audit.scan import scan
from codex_audit.settings import SettingsError, load_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[[dict[str, str]], Path]

FIXTURES = Path(__file__).parents[2] / "fixtures" / "kinds"
KINDS = list(load_catalog().kinds)
TREES = sorted(tree for kind in FIXTURES.iterdir() for tree in kind.iterdir())
TRAINER = FIXTURES / "trainer" / "is" / "train.py"


def audit(root: Path) -> Scan:
    return scan(root, load_settings(root))


def copied(tree: Path, tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    shutil.copytree(tree, root)  # away from this repository's own git
    return root


def answers(found: Scan) -> dict[str, Answer]:
    return {
        f"{capability.id}.{name}": one.answer
        for capability in found.capabilities.values()
        for name, one in capability.criteria.items()
    }


def declared(make_repository: Make, kind: str, files: dict[str, str]) -> Scan:
    settings = f'[tool.codex-audit]\nkind = "{kind}"\n'
    return audit(make_repository({"pyproject.toml": settings, **files}))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_tree_that_is_it_and_one_that_nearly_is(kind: str) -> None:
    names = [tree.name for tree in TREES if tree.parent.name == kind]
    assert "is" in names
    assert [name for name in names if name.startswith("nearly-")]


@pytest.mark.parametrize("tree", TREES, ids=[f"{tree.parent.name}/{tree.name}" for tree in TREES])
def test_a_tree_is_of_its_kind(tmp_path: Path, tree: Path) -> None:
    nearly = tree.name.removeprefix("nearly-").partition(".")[0]
    expected = tree.parent.name if tree.name.startswith("is") else nearly
    found = audit(copied(tree, tmp_path))
    assert found.errors == ()
    assert found.kind.id == expected
    assert not found.kind.declared
    marked = {
        f"{path.relative_to(tree).as_posix()}:{number}"
        for path in tree.rglob("*.*")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if line.endswith(("# evidence", "<!-- evidence -->"))
    }
    if marked:
        assert str(found.kind.evidence[0]) in marked
    else:
        assert bool(found.kind.evidence) is (expected != KINDS[-1])


@pytest.mark.parametrize("tree", TREES, ids=[f"{tree.parent.name}/{tree.name}" for tree in TREES])
def test_an_inferred_kind_changes_no_answer(
    tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = copied(tree, tmp_path)
    with_kinds = audit(root)
    full = load_catalog()
    last = {KINDS[-1]: msgspec.structs.replace(full.kinds[KINDS[-1]], without=())}
    bare = msgspec.structs.replace(full, kinds=last)
    monkeypatch.setattr(static_audit, "full_catalog", lambda *_: bare)
    assert answers(audit(root)) == answers(with_kinds)


def test_what_does_not_apply_names_the_kind_and_its_line(make_repository: Make) -> None:
    main_py = (FIXTURES / "service" / "is" / "app" / "main.py").read_text()
    found = audit(make_repository({"app/main.py": main_py, "README.md": "# App\n"}))
    resume = found.capabilities["checkpointing_resume"].criteria["resume"]
    assert resume.answer is Answer.NOT_APPLICABLE
    assert resume.reason == "the repository trains nothing (kind: service: app/main.py:3)"
    # what no kind has or lacks by its nature is not explained by it
    image = found.capabilities["deployment"].criteria["base_image_pinned"]
    assert image.reason == "there is no container definition"


def test_a_kind_that_holds_besides_is_named(make_repository: Make) -> None:
    files = {
        "train.py": TRAINER.read_text(),
        "serve.py": "import flask\n\napp = flask.Flask('a')\n",
    }
    kind = audit(make_repository(files)).kind
    assert (kind.id, kind.runner_up) == ("trainer", "service")
    assert kind.reason.endswith("; it also reads as service (serve.py:3)")


@pytest.mark.parametrize("kind", KINDS)
def test_a_declared_kind_binds(make_repository: Make, kind: str) -> None:
    """What it lacks does not apply although code shows it; what it has applies although none does."""
    rule = load_catalog().kinds[kind]
    trained = declared(make_repository, kind, {"train.py": TRAINER.read_text()})
    training = trained.capabilities["training_engine"]
    if "training" in rule.without:
        assert training.status is Status.NOT_APPLICABLE
        assert {one.answer for one in training.criteria.values()} == {Answer.NOT_APPLICABLE}
        assert not trained.trains
        assert training.criteria["training_loop"].reason == (
            f"the kind declared in pyproject.toml, {rule.title}, is without training"
        )
    else:
        assert trained.trains
        assert training.criteria["training_loop"].answer is Answer.MET


def test_what_a_declared_kind_lacks_is_lifted_in_every_capability(make_repository: Make) -> None:
    files = {name: (TRAINER.parent / name).read_text() for name in ("train.py", "model.py")}
    found = declared(make_repository, "no-ml", files)
    for capability, criterion, subject in (
        ("docs_examples", "cpu_smoke_documented", "training"),
        ("deployment", "inference_entrypoint", "model"),
    ):
        answered = found.capabilities[capability].criteria[criterion]
        assert answered.answer is Answer.NOT_APPLICABLE
        assert answered.reason == (
            f"the kind declared in pyproject.toml, no machine learning, is without {subject}"
        )


def test_what_the_kind_was_inferred_from_does_not_outlive_the_declaration(
    make_repository: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = KindRule(
        title="Data", means="data", met=(Signal(criterion="data_handling.dataset_code"),)
    )
    quiet = KindRule(title="Quiet", means="quiet", met=CALL, without=("training",))
    kinds = {"data": asked, "quiet": quiet, **load_catalog().kinds}
    monkeypatch.setattr(static_audit, "full_catalog", lambda *_: with_kinds(kinds))
    found = declared(make_repository, "quiet", {"train.py": TRAINER.read_text()})
    dataset = found.capabilities["data_handling"].criteria["dataset_code"]
    assert dataset.answer is Answer.NOT_APPLICABLE  # it had data only as what trains


@pytest.mark.parametrize("kind", KINDS)
def test_a_declared_kind_is_asked_for_what_it_has(make_repository: Make, kind: str) -> None:
    rule = load_catalog().kinds[kind]
    found = declared(make_repository, kind, {"app.py": "print(1)\n"})
    resume = found.capabilities["checkpointing_resume"].criteria["resume"]
    expected = Answer.UNMET if "training" in rule.has else Answer.NOT_APPLICABLE
    assert resume.answer is expected
    assert found.trains is ("training" in rule.has)


def test_what_a_declared_kind_says_nothing_of_is_left_to_the_code(make_repository: Make) -> None:
    tokenizer = "import tiktoken\n\nencoder = tiktoken.get_encoding('gpt2')\n"
    service = declared(make_repository, "service", {"app.py": tokenizer})
    assert service.capabilities["tokenization"].criteria["tokenizer"].answer is Answer.MET
    assert service.capabilities["tokenization"].status is not Status.NOT_APPLICABLE


def test_a_declared_kind_shows_its_line_and_what_the_code_reads_as(make_repository: Make) -> None:
    kind = declared(make_repository, "service", {"train.py": TRAINER.read_text()}).kind
    assert (kind.id, kind.declared) == ("service", True)
    assert [str(line) for line in kind.evidence] == ["pyproject.toml:2"]
    assert kind.reason == ("declared in pyproject.toml; the code reads as trainer (train.py:8)")


def test_a_declared_kind_that_the_code_shows_says_so(make_repository: Make) -> None:
    kind = declared(make_repository, "trainer", {"train.py": TRAINER.read_text()}).kind
    assert kind.reason == "declared in pyproject.toml; the code reads so, too"


def test_a_declared_kind_is_not_that_of_a_directory_below(make_repository: Make) -> None:
    settings = '[tool.codex-audit]\nkind = "service"\n'
    root = make_repository({"pyproject.toml": settings, "a/train.py": TRAINER.read_text()})
    assert audited(root).scan("scan").kind.id == "service"
    below = audited(root / "a").scan("scan")
    assert (below.kind.id, below.trains) == ("trainer", True)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ('kind = "servise"', ["kind: 'servise' is no kind", "did you mean 'service'?"]),
        ('kind = "x"', ["kind: 'x' is no kind", f"known kinds: {', '.join(KINDS)}"]),
        ("kind = 1", ["kind: expected `str", "correct the value"]),
        ('kind = "service"\ntrainer = { factory = "a:b" }', ["without training", "trainer.factory"]),
        ('kind = "no-ml"\ntokenizer = { path = "t" }', ["without tokenizer", "tokenizer.path"]),
    ],
)  # fmt: skip
def test_a_kind_that_cannot_be_is_refused(
    make_repository: Make, settings: str, words: list[str]
) -> None:
    root = make_repository({"pyproject.toml": f"[tool.codex-audit]\n{settings}\n"})
    with pytest.raises(SettingsError) as caught:
        audit(root)
    for word in (f"{root / 'pyproject.toml'}: [tool.codex-audit] kind: ", *words):
        assert word in str(caught.value)
    result = CliRunner().invoke(main, ["scan", str(root)])
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert words[0] in result.stderr


def with_kinds(kinds: dict[str, KindRule]) -> Catalog:
    return msgspec.structs.replace(load_catalog(), kinds=kinds)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[kinds.a\n", "not valid TOML"),
        ("[kind.a]\n", "unknown field `kind`"),
        ('[kinds.a]\ntitle = "A"\n', "missing required field `means`"),
        ('[kinds.a]\ntitle = "A"\nmeans = "a"\nscore = 3\n', "unknown field `score`"),
        ('[kinds.a]\ntitle = "A"\nmeans = "a"\nmet = [{ cal = "x" }]\n', "unknown field `cal`"),
    ],
)
def test_a_file_of_kinds_of_another_form_is_refused(text: str, message: str) -> None:
    with pytest.raises(CatalogError) as caught:
        catalog_module._read("kinds.toml", text, catalog_module._Kinds)
    assert str(caught.value).startswith("kinds.toml: ")
    assert message in str(caught.value)


CALL = (Signal(call="x"),)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"has": ("trainning",)}, "kinds.toml: a: unknown subject 'trainning'"),
        ({"without": ("nothing",)}, "kinds.toml: a: unknown subject 'nothing'"),
        ({"has": ("data",), "without": ("data",)}, "kinds.toml: a: 'data' is in `has` and `without`"),
        ({"also": ("b",)}, "kinds.toml: a.also: unknown kind 'b'"),
        ({"met": ()}, "exactly the last kind has no `met`"),
        ({"met": (Signal(call="re:("),)}, "signal"),
        ({"met": (Signal(criterion="no.such"),)}, "unknown criterion 'no.such'"),
    ],
)  # fmt: skip
def test_kinds_that_lead_nowhere_are_refused(changes: dict[str, Any], message: str) -> None:
    sound = KindRule(title="A", means="a", met=CALL)
    rest = KindRule(title="Rest", means="the rest")
    catalog_module.check(with_kinds({"a": sound, "rest": rest}))
    broken = msgspec.structs.replace(sound, **changes)
    with pytest.raises(CatalogError) as caught:
        catalog_module.check(with_kinds({"a": broken, "rest": rest}))
    assert message in str(caught.value)


def test_kinds_of_which_the_last_does_not_always_hold_are_refused() -> None:
    with pytest.raises(CatalogError, match="exactly the last kind has no `met`"):
        catalog_module.check(with_kinds({"a": KindRule(title="A", means="a", met=CALL)}))


def test_a_rule_that_fails_is_captured_and_leaves_the_answers(
    make_repository: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_repository({"train.py": TRAINER.read_text()})
    before = audit(root)
    full = load_catalog()
    broken = KindRule(title="Broken", means="broken", met=(Signal(call="*", value="("),))
    kinds = {"broken": broken, **full.kinds}
    monkeypatch.setattr(static_audit, "full_catalog", lambda *_: with_kinds(kinds))
    # The key of an audit knows of no patched catalog.
    found = scan(root, load_settings(root), cached=False)
    assert found.kind.id == "unknown"
    assert found.kind.reason.startswith("its rule failed: ")
    assert [error.context for error in found.errors] == ["the rules of the kinds of repository"]
    assert answers(found) == answers(before)


def test_every_document_shows_the_kind(make_repository: Make) -> None:
    root = make_repository({"train.py": TRAINER.read_text()})
    settings = load_settings(root)
    document = merge(scan(root, settings), None, settings)
    lines = find_format("markdown").render(document).splitlines()
    shown = lines[lines.index("## Repo Map Summary") : lines.index("## Capability Matrix")]
    kind = next(line for line in shown if line.startswith("- Kind: "))
    assert kind.startswith("- Kind: trainer (`train.py:8` `loss.backward()")
    assert f"Kind: trainer (train.py:8): {document.kind.reason}" in summary(document, [])
    status = msgspec.json.decode(find_format("json").render(document))["kind"]
    assert status["id"] == "trainer"
    assert status["evidence"][0] | {"snippet": ""} == {
        "path": "train.py", "line": 8, "snippet": "",
    }  # fmt: skip
    assert {"title", "reason", "runner_up", "declared"} < set(status)
    sarif = msgspec.json.decode(find_format("sarif").render(document))
    assert sarif["runs"][0]["properties"]["kind"] == status
