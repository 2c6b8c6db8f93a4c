"""Vocabularies learnt from a corpus over bytes, so that every text has a spelling.

BPE: Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units", ACL 2016,
over bytes as in Radford et al., "Language Models are Unsupervised Multitask Learners", 2019.
WordPiece: Schuster & Nakajima, "Japanese and Korean Voice Search", ICASSP 2012. Unigram: Kudo,
"Subword Regularization", ACL 2018.

The same texts give the same vocabulary, but for Unigram: its trainer adds up probabilities in the
order of a hash map, so that of two pieces that are worth nearly the same either may stay. Keep the
vocabulary with the model (`save_tokenizer`) instead of training it again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from codex_ml import optional
from codex_ml.tokenization.protocol import BOS, EOS, PAD

if TYPE_CHECKING:
    import tokenizers

Model = Literal["bpe", "wordpiece", "unigram"]

SPECIAL = [PAD, BOS, EOS]
CONTINUING = "\u2581"
"""Marks a piece inside a word. Not the usual `##`, which may be text: this is no byte's letter."""

_BYTES = 256
_UNSEEN = 0.0001  # the step by which the trainer tells apart the scores of bytes it never saw


def train(texts: Iterable[str], *, vocab_size: int, model: Model) -> tokenizers.Tokenizer:
    """Train a byte-level vocabulary with padding, begin and end tokens, ids 0, 1 and 2.

    Args:
        texts: the corpus, read once.
        vocab_size: ids in all, at most: bytes (WordPiece has each twice, at the start of a
            word and inside), three special tokens, and what is learnt.
        model: "bpe", "wordpiece" or "unigram".

    Raises:
        ModuleNotFoundError: `tokenizers` is not installed.
        ValueError: `vocab_size` has no room for bytes and special tokens, or there is no such
            model.
    """
    trained = {"bpe": _bpe, "wordpiece": _wordpiece, "unigram": _unigram}.get(model)
    if trained is None:
        raise ValueError(f"model={model!r}: must be 'bpe', 'wordpiece' or 'unigram'")
    least = _BYTES * (2 if model == "wordpiece" else 1) + len(SPECIAL)
    if vocab_size < least:
        raise ValueError(f"vocab_size={vocab_size}: bytes and special tokens take {least}")
    lib = optional.load("tokenizers", extra="tokenizer")
    options = {
        "vocab_size": vocab_size,
        "initial_alphabet": sorted(lib.pre_tokenizers.ByteLevel.alphabet()),
        "show_progress": False,
    }
    inner = trained(lib, texts, options)
    inner.add_special_tokens(SPECIAL)
    inner.post_processor = lib.processors.TemplateProcessing(
        single=f"{BOS} $A {EOS}",
        special_tokens=[(token, inner.token_to_id(token)) for token in (BOS, EOS)],
    )
    return inner


def _byte_level(lib: ModuleType, model: Any) -> tokenizers.Tokenizer:
    inner: tokenizers.Tokenizer = lib.Tokenizer(model)
    inner.pre_tokenizer = lib.pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = lib.decoders.ByteLevel()
    return inner


def _bpe(lib: ModuleType, texts: Iterable[str], options: dict[str, Any]) -> tokenizers.Tokenizer:
    inner = _byte_level(lib, lib.models.BPE())
    trainer = lib.trainers.BpeTrainer(special_tokens=SPECIAL, **options)
    inner.train_from_iterator(texts, trainer=trainer)
    return inner


def _wordpiece(
    lib: ModuleType, texts: Iterable[str], options: dict[str, Any]
) -> tokenizers.Tokenizer:
    # A word is never too long and a byte never unknown; were one, it would be an error, since
    # the library's `[UNK]` is not in the vocabulary.
    settings = {"continuing_subword_prefix": CONTINUING, "max_input_chars_per_word": 2**31}
    # Given as special tokens, the bytes inside words have ids of their own, which the trainer
    # else deals in the order of a hash map; the tokenizer that is returned has them as pieces.
    inside = [CONTINUING + letter for letter in options["initial_alphabet"]]
    trainer = lib.trainers.WordPieceTrainer(
        special_tokens=SPECIAL + inside, continuing_subword_prefix=CONTINUING, **options
    )
    scratch = _byte_level(lib, lib.models.WordPiece(**settings))
    scratch.train_from_iterator(texts, trainer=trainer)
    inner = _byte_level(lib, lib.models.WordPiece(scratch.get_vocab(), **settings))
    unmarked = lib.decoders.Replace(CONTINUING, "")
    inner.decoder = lib.decoders.Sequence([unmarked, lib.decoders.ByteLevel()])
    return inner


def _unigram(
    lib: ModuleType, texts: Iterable[str], options: dict[str, Any]
) -> tokenizers.Tokenizer:
    trainer = lib.trainers.UnigramTrainer(special_tokens=SPECIAL, **options)
    scratch = _byte_level(lib, lib.models.Unigram())
    scratch.train_from_iterator(texts, trainer=trainer)
    learnt = json.loads(scratch.to_str())["model"]["vocab"][len(SPECIAL) :]
    # Bytes that never occur get scores a step apart, in the order of a hash map, and all
    # scores are sums in a varying order: level the one and round the other, so that
    # vocabularies differ only where their pieces do.
    least = min(score for _, score in learnt)
    unseen = least + _UNSEEN * _BYTES
    scores = {
        piece: round(least if len(piece) == 1 and score < unseen else score, 9)
        for piece, score in learnt
    }
    ranked = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
    return _byte_level(lib, lib.models.Unigram([*((token, 0.0) for token in SPECIAL), *ranked]))
