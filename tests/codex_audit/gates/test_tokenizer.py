"""The gate with real processes: the kit and real tokenizers pass, broken ones fail, by file and factory."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from codex_audit.gates.base import Context, GateUsageError, Report
from codex_audit.gates.tokenizer import GATE, run
from codex_audit.outcome import Check, Verdict, conclude
from codex_audit.proofs.tokenizer.discovery import discovered
from codex_audit.proofs.tokenizer.proof import battery
from codex_audit.settings import Settings, TokenizerSettings

REPOSITORY = Path(__file__).resolve().parents[3]
FIXTURES = REPOSITORY / "tests" / "fixtures"

FACTORY = '''
import random


class Letters:
    """Code points, for the protocol's two methods."""

    def encode(self, text):
        return [ord(c) for c in text.encode().decode()]

    def decode(self, ids):
        return "".join(map(chr, ids))


def make():
    return Letters()


class Proteins:
    """Twenty residues, and no other text."""

    letters = "ACDEFGHIKLMNPQRSTVWY"

    def encode(self, text):
        return [self.letters.index(letter) for letter in text]

    def decode(self, ids):
        return "".join(self.letters[number] for number in ids)


class Drawn(Letters):
    """Now this id and now that for one letter."""

    def encode(self, text):
        return [ord(c) + random.choice((0, 0x110000)) for c in text]

    def decode(self, ids):
        return "".join(chr(number % 0x110000) for number in ids)


class Trained(Letters):
    """Trained on words in the order of a set."""

    words = ()

    def train(self, texts):
        again = Trained()
        again.words = list({word for text in texts for word in text.split()})
        return again

    def encode(self, text):
        return [*super().encode(text), *(0x110000 + n for n, w in enumerate(self.words) if w in text)]

    def decode(self, ids):
        return super().decode([number for number in ids if number < 0x110000])


def nothing():
    return object()
'''


def trial(
    root: Path, scratch: Path, path: str | None = None, **options: Any
) -> tuple[Report, dict[str, Check]]:
    scratch.mkdir(exist_ok=True)
    settings = Settings(tokenizer=TokenizerSettings(path=path, **options))
    report = run(Context(root, settings, (), scratch, 60))
    return report, {check.id: check for check in report.checks}


@pytest.fixture
def own(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    root.mkdir()
    (root / "own.py").write_text(FACTORY)
    return root


def test_the_reference_kit_passes_every_proof(tmp_path: Path) -> None:
    report, checks = trial(REPOSITORY, tmp_path)
    assert report.errors == ()
    assert list(checks) == list(battery())
    skipped = {"added_tokens", "implementations_agree"}
    for name, check in checks.items():
        assert check.verdict is (Verdict.SKIP if name in skipped else Verdict.PASS), check.summary
        assert check.summary
    assert report.facts["subject"] == {"name": "codex_ml", "in_tree": True}
    assert checks["round_trip"].evidence[0].path.startswith("src/codex_ml/tokenization/")
    assert "tokenizers" in report.tools


def test_a_lowercasing_tokenizer_fails_with_the_shortest_text(tmp_path: Path) -> None:
    report, checks = trial(FIXTURES / "tokenizers", tmp_path, "lowercasing.json")
    subject = {"name": "lowercasing.json", "in_tree": True, "kind": "tokenizers"}
    assert report.facts["subject"] == subject
    failed = {check.id for check in report.checks if check.verdict is Verdict.FAIL}
    assert failed == {"round_trip"}
    summary = checks["round_trip"].summary
    assert 'shortest: "T" (U+0054) becomes "t" (U+0074)' in summary
    assert "it lower-cases (lowercase)" in summary
    assert 'normalization = ["lowercase"]' in summary
    assert "look at the normalizer (Lowercase)" in summary
    assert checks["round_trip"].evidence[0].path == "lowercasing.json"


def test_what_is_declared_is_no_failure(tmp_path: Path) -> None:
    _, checks = trial(
        FIXTURES / "tokenizers", tmp_path, "lowercasing.json", normalization=("lowercase",)
    )
    assert {c.verdict for c in checks.values()} == {Verdict.PASS, Verdict.SKIP}
    assert "up to the declared lowercase" in checks["round_trip"].summary


def test_a_declared_limit_is_neither_failure_nor_pass(tmp_path: Path) -> None:
    reason = "the model is uncased"
    _, checks = trial(
        FIXTURES / "tokenizers", tmp_path, "lowercasing.json", limits={"round_trip": reason}
    )
    assert checks["round_trip"].verdict is Verdict.DECLARED_LIMIT
    assert checks["round_trip"].summary.startswith(f"declared: {reason}; seen: ")


def test_a_padding_id_that_is_a_letter_fails(tmp_path: Path) -> None:
    _, checks = trial(FIXTURES / "tokenizers", tmp_path, "pad_collides.json")
    assert checks["special_ids_distinct"].verdict is Verdict.FAIL
    assert "belongs to" in checks["special_ids_distinct"].summary


def test_a_tokenizer_without_padding_is_not_said_to_pad(tmp_path: Path) -> None:
    _, checks = trial(FIXTURES / "tokenizers", tmp_path, "no_padding.json")
    assert checks["padding"].verdict is Verdict.SKIP
    assert "no padding token" in checks["padding"].summary
    assert checks["round_trip"].verdict is Verdict.PASS


def test_an_object_of_a_factory_stands_trial(own: Path, tmp_path: Path) -> None:
    report, checks = trial(own, tmp_path / "scratch", factory="own:make")
    assert report.errors == ()
    assert {c.verdict for c in checks.values()} == {Verdict.PASS, Verdict.SKIP}
    assert checks["round_trip"].evidence[0].path == "own.py"
    assert sorted(path.name for path in own.iterdir() if path.name != "__pycache__") == ["own.py"]
    assert checks["padding"].verdict is Verdict.SKIP
    assert report.facts["subject"] == {"name": "own:make", "in_tree": True, "kind": "protocol"}


def test_a_tokenizer_of_certain_texts_is_judged_by_those(own: Path, tmp_path: Path) -> None:
    (own / "proteins.txt").write_text("MKTAYIAK\nACDEFGHIKLMNPQRSTVWY\r\n\nMVLSPADK\n")
    made: dict[str, Any] = {"factory": "own:Proteins"}
    _, checks = trial(own, tmp_path / "all", **made)
    assert checks["round_trip"].verdict is Verdict.FAIL
    assert "raises ValueError: substring not found" in checks["round_trip"].summary
    assert checks["threads_agree"].verdict is Verdict.SKIP
    assert "see round_trip" in checks["threads_agree"].summary
    failed = {c.id for c in checks.values() if c.verdict is Verdict.FAIL}
    assert failed == {"round_trip", "unknown_text"}
    report, checks = trial(own, tmp_path / "some", domain="proteins.txt", **made)
    assert report.errors == ()
    assert {c.verdict for c in checks.values()} == {Verdict.PASS, Verdict.SKIP}
    assert checks["round_trip"].summary.startswith("4 hard texts and 3 of the domain come back")
    assert "outside of the domain are refused" in checks["unknown_text"].summary


def test_ids_that_are_drawn_fail_one_proof_and_leave_the_others_unjudged(
    own: Path, tmp_path: Path
) -> None:
    _, checks = trial(own, tmp_path / "scratch", factory="own:Drawn")
    failed = [c.id for c in checks.values() if c.verdict is Verdict.FAIL]
    assert failed == ["new_process_same_ids"]
    assert "random draws in encoding" in checks["new_process_same_ids"].summary
    assert "other ids at every call" in checks["pickled"].summary


def test_a_vocabulary_in_the_order_of_a_set_is_seen_in_another_process(
    own: Path, tmp_path: Path
) -> None:
    _, checks = trial(own, tmp_path / "scratch", factory="own:Trained")
    failed = [c.id for c in checks.values() if c.verdict is Verdict.FAIL]
    assert failed == ["training_deterministic"]
    assert "in a process with another hash seed" in checks["training_deterministic"].summary


def test_two_implementations_are_compared(own: Path, tmp_path: Path) -> None:
    _, checks = trial(own, tmp_path / "scratch", factory="own:make", same_as="own:make")
    assert checks["implementations_agree"].verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("own:nothing", "own:nothing returned an object of type object without encode()"),
        ("own:absent", "own:absent: own has no 'absent'; correct the function's name"),
        ("gone:make", "gone:make: there is no module 'gone'; correct it"),
    ],
)
def test_a_factory_that_gives_no_tokenizer_is_an_error_in_one_line(
    own: Path, tmp_path: Path, factory: str, message: str
) -> None:
    report, _ = trial(own, tmp_path / "scratch", factory=factory)
    error = report.errors[0]
    assert message in f"{error.message}; {error.remedy}"
    assert "\n" not in error.message
    assert error.diagnosis == "what stands trial is no tokenizer that can be loaded"
    assert error.remedy


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tokenizer.json", '{"model": {"type": "None"}}', "tokenizer.json: not read as tokenizers"),
        ("tokenizer.json", "not JSON", "tokenizer.json: not read as tokenizers"),
        ("tokenizer.json", "[]", "tokenizer.json: not read as tokenizers"),
        ("tokenizer.model", "", "tokenizer.model: it is empty"),
        ("tokenizer.model", "\nmodel", "tokenizer.model: not read as sentencepiece"),
        ("own.tiktoken", "!! 1", "own.tiktoken:1: not `TOKEN RANK` with the token in base 64"),
        ("words.txt", "a b", "words.txt: a file that no adapter knows; name a directory of"),
    ],
)
def test_a_file_that_is_no_tokenizer_is_an_error_in_one_line(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    root = tmp_path / "repository"
    root.mkdir()
    (root / name).write_text(content)
    report, checks = trial(root, tmp_path / "scratch", name)
    assert checks == {}
    assert conclude(report.checks, report.errors) is Verdict.ERROR
    assert report.errors[0].step == "tokenizer_smoke_test"
    error = report.errors[0]
    assert message in f"{error.message}; {error.remedy}"
    assert "\n" not in error.message
    assert error.diagnosis == "what stands trial is no tokenizer that can be loaded"
    assert error.remedy


def test_the_one_tokenizer_of_a_repository_is_found(tmp_path: Path) -> None:
    root = tmp_path / "repository"
    (root / "assets").mkdir(parents=True)
    text = (FIXTURES / "tokenizers" / "no_padding.json").read_text()
    (root / "assets" / "tokenizer.json").write_text(text)
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    subprocess.run(["git", "add", "."], cwd=root, check=True)
    report, _ = trial(root, tmp_path / "scratch")
    subject = {"name": "assets/tokenizer.json", "in_tree": True, "kind": "tokenizers"}
    assert report.facts["subject"] == subject


JSON = '{"model": {"type": "BPE"}, "added_tokens": []}'
KERAS = '{"class_name": "Tokenizer", "config": {}}'
SPM = "\n\x0e\n\x05<unk>"


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"a/tokenizer.json": JSON, "b.py": ""}, ("a/tokenizer.json",)),
        ({"m/tokenizer.json": JSON, "m/tokenizer_config.json": "{}"}, ("m",)),
        ({"bert/vocab.txt": "a", "bert/tokenizer_config.json": "{}"}, ("bert",)),
        ({"tokenizer_config.json": "{}", "tokenizer.json": JSON}, (".",)),
        ({"m/tokenizer.json": JSON, "m/tokenizer.model": SPM}, ("m/tokenizer.json",)),
        (
            {"a/tokenizer.json": JSON, "b/tokenizer.json": JSON},
            ("a/tokenizer.json", "b/tokenizer.json"),
        ),
        ({"a/one_tokenizer.json": JSON}, ("a/one_tokenizer.json",)),
        (
            {"spiece.model": SPM, "weights.model": "binf", "hmm.model": "\nhidden"},
            ("spiece.model",),
        ),
        ({"a/x.model": SPM, "a/y.model": SPM}, ("a/x.model", "a/y.model")),
        ({"tokenizer.model": "IQ== 0\n"}, ("tokenizer.model",)),
        ({"tokenizer.model": "minbpe v1\n"}, ()),
        ({"assets/gpt2.tiktoken": "IQ== 0\n"}, ("assets/gpt2.tiktoken",)),
        ({"gpt2/encoder.json": "{}", "gpt2/vocab.bpe": "#version: 0.2\n"}, ("gpt2",)),
        ({"a/vocab.json": "{}", "a/merges.txt": "#version: 0.2\n"}, ("a",)),
        ({"encoder.json": "{}"}, ()),
        ({"tokenizer.json": KERAS}, ()),
        ({"tests/fixtures/tokenizer.json": JSON, "docs/tokenizer.model": SPM}, ()),
        ({"test_fixtures/m/tokenizer.json": JSON}, ()),
        ({"tests/tokenizer.json": JSON, "tokenizer.model": SPM}, ("tokenizer.model",)),
        ({}, ()),
    ],
)
def test_discovery_takes_what_an_adapter_reads(
    tmp_path: Path, files: dict[str, str], found: tuple[str, ...]
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    assert discovered(tmp_path, files) == found


def test_which_of_several_tokenizers_is_not_guessed(tmp_path: Path) -> None:
    root = tmp_path / "repository"
    for name in ("small", "large"):
        (root / name).mkdir(parents=True)
        text = (FIXTURES / "tokenizers" / "no_padding.json").read_text()
        (root / name / "tokenizer.json").write_text(text)
    report, checks = trial(root, tmp_path / "scratch")
    assert checks == {}
    error = report.errors[0]
    assert error.message == (
        "the repository has 2 tokenizers: large/tokenizer.json, small/tokenizer.json"
    )
    assert error.diagnosis == "which tokenizer is to stand trial is not said"
    assert error.remedy == (
        "name the one to judge under [tool.codex-audit.tokenizer], such as "
        'path = "large/tokenizer.json"'
    )
    report, checks = trial(root, tmp_path / "again", "small/tokenizer.json")
    assert report.errors == ()
    assert checks["round_trip"].verdict is Verdict.PASS


def test_the_two_files_of_gpt2_are_a_tokenizer(tmp_path: Path) -> None:
    document = json.loads((FIXTURES / "tokenizers" / "no_padding.json").read_text())
    root = tmp_path / "repository"
    root.mkdir()
    (root / "encoder.json").write_text(json.dumps(document["model"]["vocab"]))
    merges = [m if isinstance(m, str) else " ".join(m) for m in document["model"]["merges"]]
    (root / "vocab.bpe").write_text("\n".join(["#version: 0.2", *merges, ""]))
    report, checks = trial(root, tmp_path / "scratch")
    assert report.errors == ()
    assert report.facts["subject"]["kind"] == "tokenizers"
    assert checks["round_trip"].verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": "absent.json"}, r"path: there is no file 'absent\.json'"),
        ({"path": ".", "factory": "a:b"}, "path and factory are both set"),
        ({"factory": "a.b"}, r"factory: 'a\.b' is not of the form"),
        ({"same_as": "gone"}, "same-as: 'gone' is neither a file"),
        ({"normalization": ("upper",)}, "normalization: there is no 'upper'; there are: lowercase"),
        (
            {"domain": "gone.txt"},
            r"domain: there is no file 'gone\.txt' in the repository; name one",
        ),
        ({"domain": "one.txt"}, r"domain: one\.txt: it has 1 different text\(s\), and at least 2"),
        ({"domain": "bytes.txt"}, r"domain: bytes\.txt: no text in UTF-8 \(UnicodeDecodeError\)"),
        ({"limits": {"round": "x"}}, r"limits\] round: no such proof; there are: added_tokens"),
    ],
)
def test_settings_that_name_nothing_are_refused(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    (tmp_path / "one.txt").write_text("MKTAY\n\nMKTAY\n")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\nM\n")
    with pytest.raises(GateUsageError, match=message):
        trial(tmp_path, tmp_path / "scratch", **options)


def test_another_argument_than_thorough_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GateUsageError, match="takes only --thorough; leave out '--all'"):
        run(Context(tmp_path, Settings(), ("--all",), tmp_path, 10))


def test_it_declares_phase_and_step() -> None:
    assert (GATE.name, GATE.phase, GATE.step) == ("tokenizer", 5, "tokenizer_smoke_test")
    assert json.dumps(GATE.why)
