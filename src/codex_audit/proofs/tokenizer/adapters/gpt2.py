"""GPT-2's two files: a vocabulary and merges, under OpenAI's names or those of Hugging Face."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_audit.proofs.tokenizer.adapters.huggingface import HuggingFaceSubject
from codex_audit.proofs.tokenizer.loading import Adapter

if TYPE_CHECKING:
    from pathlib import Path

PAIRS = (("encoder.json", "vocab.bpe"), ("vocab.json", "merges.txt"))


def _files(path: Path) -> tuple[Path, Path] | None:
    """The vocabulary and the merges of a directory that says no more of its tokenizer."""
    if not path.is_dir() or any((path / name).is_file() for name in _SAYING):
        return None
    found = ((path / vocabulary, path / merges) for vocabulary, merges in PAIRS)
    return next((pair for pair in found if all(each.is_file() for each in pair)), None)


_SAYING = ("tokenizer_config.json", "tokenizer.json")


def _load(path: Path) -> HuggingFaceSubject:
    """A byte-level BPE that splits as GPT-2 does, for the files do not say how."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers  # noqa: PLC0415

    files = _files(path)
    assert files is not None  # noqa: S101 - it was asked before  # nosec B101
    vocabulary, merges = map(str, files)
    tokenizer = Tokenizer(models.BPE.from_file(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    named = [name for name in tokenizer.get_vocab() if name in _CONTROL]
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in sorted(named)])
    return HuggingFaceSubject(tokenizer)


_CONTROL = frozenset({"<|endoftext|>", "<s>", "</s>", "<pad>", "<unk>", "<mask>"})

ADAPTER = Adapter(
    kind="tokenizers, from GPT-2's files",
    order=33,
    form="a directory of encoder.json and vocab.bpe, or vocab.json and merges.txt",
    reads=lambda path: _files(path) is not None,
    load=_load,
    wraps=lambda _: False,
    wrap=HuggingFaceSubject,
)
