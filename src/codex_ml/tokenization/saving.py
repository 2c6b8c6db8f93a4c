"""A tokenizer kept with its model: one directory, one hash, verified when it is loaded."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

from codex_ml.documents import from_json, header, sha256, to_json
from codex_ml.tokenization.huggingface import HuggingFaceTokenizer
from codex_ml.tokenization.pretrained import TransformersTokenizer
from codex_ml.tokenization.protocol import Adapter
from codex_ml.tokenization.spm import SentencePieceTokenizer
from codex_ml.tokenization.tiktokens import TiktokenTokenizer

FORMAT = "codex-ml-tokenizer"

_DESCRIPTION = "tokenizer-description.json"
_ADAPTERS: dict[str, tuple[Any, str]] = {
    "tokenizers": (HuggingFaceTokenizer, "tokenizer.json"),
    "transformers": (TransformersTokenizer, "pretrained"),
    "sentencepiece": (SentencePieceTokenizer, "tokenizer.model"),
    "tiktoken": (TiktokenTokenizer, "encoding.json"),
}


class TokenizerError(ValueError):
    """A saved tokenizer that is damaged, foreign, or another than was asked for."""


def save_tokenizer(tokenizer: Adapter, directory: Path) -> str:
    """Write `directory` with the tokenizer's own files and a description with their hash.

    Written aside and renamed; what was there before is replaced. To have it in every
    checkpoint: `CheckpointStore(..., attach={"tokenizer": partial(save_tokenizer, tokenizer)})`.

    Returns:
        The SHA-256 of the description, and so of all of it: what `load_tokenizer` demands.

    Raises:
        OSError: it cannot be written.
    """
    temporary = directory.with_name(f".{directory.name}.writing")
    shutil.rmtree(temporary, ignore_errors=True)  # of a process that was killed while it wrote
    temporary.mkdir(parents=True)
    path = temporary / _ADAPTERS[tokenizer.kind][1]
    tokenizer.save(path)
    described = {"kind": tokenizer.kind, "sha256": _sha256(path), "settings": tokenizer.settings}
    content = to_json(header(FORMAT) | described).encode()
    (temporary / _DESCRIPTION).write_bytes(content)
    if directory.exists():
        shutil.rmtree(directory)
    temporary.rename(directory)
    return hashlib.sha256(content).hexdigest()


def load_tokenizer(directory: Path, *, expected_hash: str | None = None) -> Adapter:
    """Load what `save_tokenizer` wrote, with the adapter that it was written by.

    Args:
        directory: the same directory.
        expected_hash: what `save_tokenizer` returned; None verifies the files against their
            own description only.

    Raises:
        ModuleNotFoundError: its library is not installed.
        OSError: a file cannot be read.
        TokenizerError: it is damaged, of another format, or not the one expected.
    """
    path = directory / _DESCRIPTION
    content = path.read_bytes()
    _demand(path, hashlib.sha256(content).hexdigest(), expected_hash)
    try:
        described = from_json(content, FORMAT)
        adapter, name = _ADAPTERS[described["kind"]]
        digest, settings = described["sha256"], described["settings"]
    except KeyError as error:
        raise TokenizerError(f"{path}: {error.args[0]!r} is missing or unknown") from error
    except ValueError as error:
        raise TokenizerError(f"{path}: {error}") from error
    _demand(directory / name, _sha256(directory / name), digest)
    try:
        loaded: Adapter = adapter.load(directory / name, **settings)
    except ValueError as error:
        raise TokenizerError(str(error)) from error
    return loaded


def _demand(path: Path, found: str, expected: str | None) -> None:
    if expected is not None and found != expected:
        whose = "another tokenizer than the model was trained with; restore that file"
        raise TokenizerError(f"{path}: its SHA-256 is {found}, not {expected}: {whose}")


def _sha256(path: Path) -> str:
    """Of a file, or over the names and contents of all files of a directory."""
    if not path.is_dir():
        return sha256(path)
    names = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    listing = "".join(f"{name}\0{_sha256(path / name)}\n" for name in names)
    return hashlib.sha256(listing.encode()).hexdigest()
