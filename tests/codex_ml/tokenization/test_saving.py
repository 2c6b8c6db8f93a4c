"""A tokenizer stays with its model: one hash, verified, whichever library it is of."""

from __future__ import annotations

import json
import socket
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import torch
from tokenizer_makers import HARD, MAKERS, tiktokens

from codex_ml.checkpoint import CheckpointStore, DamagedError
from codex_ml.tokenization import load_tokenizer, save_tokenizer
from codex_ml.tokenization.saving import TokenizerError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("kind", MAKERS)
def test_each_kind_comes_back_offline_and_is_the_same_again(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    tokenizer = MAKERS[kind]()
    digest = save_tokenizer(tokenizer, tmp_path / "tokenizer")
    loaded = load_tokenizer(tmp_path / "tokenizer", expected_hash=digest)
    assert type(loaded) is type(tokenizer)
    assert (loaded.pad_id, loaded.special_ids) == (tokenizer.pad_id, tokenizer.special_ids)
    assert loaded.encode_batch(HARD, max_length=9) == tokenizer.encode_batch(HARD, max_length=9)
    assert [loaded.decode(loaded.encode(text)) for text in HARD] == HARD
    again = save_tokenizer(loaded, tmp_path / "tokenizer")
    # transformers writes into its files where they were loaded from
    assert (again == digest) is (loaded.kind != "transformers")
    assert [path.name for path in tmp_path.iterdir()] == ["tokenizer"]


@pytest.mark.parametrize("kind", MAKERS)
def test_a_changed_file_is_refused(kind: str, tmp_path: Path) -> None:
    save_tokenizer(MAKERS[kind](), tmp_path)
    file = max(
        (path for path in tmp_path.rglob("*") if path.is_file() and "description" not in path.name),
        key=lambda path: path.stat().st_size,
    )
    file.write_bytes(file.read_bytes() + b"\n")
    with pytest.raises(TokenizerError, match="another tokenizer than the model was trained with"):
        load_tokenizer(tmp_path)


def test_another_tokenizer_than_expected_is_refused(tmp_path: Path) -> None:
    digest = save_tokenizer(tiktokens(), tmp_path)
    save_tokenizer(MAKERS["tokenizers"](), tmp_path)
    with pytest.raises(TokenizerError, match=f"not {digest}"):
        load_tokenizer(tmp_path, expected_hash=digest)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"format": "x"}, "format: not 'codex-ml-tokenizer'"),
        ({"format_version": 2}, "format_version: 2"),
        ({"kind": "words"}, "'words' is missing or unknown"),
    ],
)
def test_a_foreign_description_is_refused(
    tmp_path: Path, change: dict[str, Any], named: str
) -> None:
    save_tokenizer(tiktokens(), tmp_path)
    path = tmp_path / "tokenizer-description.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(TokenizerError, match=named):
        load_tokenizer(tmp_path)


def test_a_checkpoint_carries_its_tokenizer_and_verifies_it(tmp_path: Path) -> None:
    tokenizer = MAKERS["transformers fast"]()
    store = CheckpointStore(tmp_path, attach={"tokenizer": partial(save_tokenizer, tokenizer)})
    path = store.save(1, {"w": torch.ones(2)}, {})
    assert load_tokenizer(store.load().path / "tokenizer").encode("the") == tokenizer.encode("the")
    listed = json.loads((path / "manifest.json").read_text())["files"]
    assert "tokenizer/pretrained/tokenizer.json" in listed
    (path / "tokenizer" / "pretrained" / "tokenizer.json").write_text("{}")
    with pytest.raises(DamagedError, match=r"tokenizer/pretrained/tokenizer.json does not have"):
        store.load(path)
    with pytest.raises(ValueError, match=r"'state.pt' is the checkpoint's own file"):
        CheckpointStore(tmp_path, attach={"state.pt": lambda path: path.write_text("")})
