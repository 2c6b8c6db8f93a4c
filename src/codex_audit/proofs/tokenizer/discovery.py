"""The tokenizer of an audited repository, where its files leave no doubt which that is."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from codex_audit.proofs.tokenizer.adapters import gpt2
from codex_audit.proofs.tokenizer.loading import adapters

if TYPE_CHECKING:
    from collections.abc import Iterable

_CONFIG = "tokenizer_config.json"
# What lies here is there to be wrong, or to be shown, or is another's.
_ASIDE = frozenset(
    {"tests", "test", "testing", "testdata", "fixtures", "examples", "docs", "third_party"}
)
_PIECES = b"\n"  # the field of SentencePiece's message, and of the first piece in it


def discovered(root: Path, paths: Iterable[str]) -> tuple[str, ...]:
    """The tokenizers among the files of a repository, by the adapters that read them.

    A directory with `tokenizer_config.json`, or with GPT-2's two files, is one tokenizer, whatever
    other files it has. So is one that has a tokenizer in several forms: the first is taken.
    """
    forms: dict[PurePosixPath, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    for path in map(PurePosixPath, sorted(paths)):
        if any(part in _ASIDE or part.startswith("test_") for part in path.parts[:-1]):
            continue
        rank = _rank(root, path)
        if rank is not None:
            whole = path.parent if rank in {_DIRECTORY, _PAIR} else path
            forms[path.parent][rank].append(whole.as_posix())
    return tuple(sorted(place for ranks in forms.values() for place in ranks[min(ranks)]))


_DIRECTORY, _FILE, _MODEL, _RANKS, _PAIR = range(5)


def _rank(root: Path, path: PurePosixPath) -> int | None:
    """Which form of a tokenizer a file is, or belongs to; None where it is none."""
    name, place = path.name, root / path
    if name == _CONFIG:
        return _DIRECTORY
    if path.suffix == ".json" and "tokenizer" in name:
        return _FILE if _is_file(place) else None
    if path.suffix == ".model":
        return _MODEL if _is_model(place) else None
    if path.suffix == ".tiktoken":
        return _RANKS
    pair = next((pair for pair in gpt2.PAIRS if pair[1] == name), None)
    return _PAIR if pair and gpt2.ADAPTER.reads(place.parent) else None


def _is_file(path: Path) -> bool:
    """Whether a file is of `tokenizers`: Keras has a `tokenizer.json`, too."""
    try:
        whole = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return path.name == "tokenizer.json"  # it is said what is wrong with it
    return isinstance(whole, dict) and isinstance(whole.get("model"), dict)


def _is_model(path: Path) -> bool:
    if path.name == "tokenizer.model":
        return any(each.load and each.reads(path) for each in adapters())
    try:
        with path.open("rb") as stream:
            head = stream.read(3)
    except OSError:
        return False
    # Many a model is a `.model`.
    return head[:1] == head[2:] == _PIECES
