"""Vocabularies learnt from a corpus over bytes, so that every text has a spelling.

BPE: Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units", ACL 2016,
over bytes as in Radford et al., "Language Models are Unsupervised Multitask Learners", 2019.
WordPiece: Schuster & Nakajima, "Japanese and Korean Voice Search", ICASSP 2012. Unigram: Kudo,
"Subword Regularization", ACL 2018.

The same texts give the same vocabulary, but for Unigram: its trainer adds up probabilities in the
order of a hash map, so that ids vary, and of two pieces that are worth nearly the same either may
stay. Keep the vocabulary with the model (`save_tokenizer`) instead of training it again.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from codex_ml import optional
from codex_ml.checks import one_of
from codex_ml.tokenization.protocol import BOS, EOS, PAD

if TYPE_CHECKING:
    import tokenizers

Model = Literal["bpe", "wordpiece", "unigram"]

SPECIAL = [PAD, BOS, EOS]
CONTINUING = "\u2581"
"""Marks a piece inside a word. Not the usual `##`, which may be text: this is no byte's letter."""

_BYTES = 256


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
    one_of(Model, model=model)
    words = model == "wordpiece"
    least = _BYTES * (1 + words) + len(SPECIAL)
    if vocab_size < least:
        raise ValueError(f"vocab_size={vocab_size}: bytes and special tokens take {least}")
    lib = optional.load("tokenizers", extra="tokenizer")
    letters = sorted(lib.pre_tokenizers.ByteLevel.alphabet())
    # Given as special tokens, the bytes inside words have ids of their own, which the trainer
    # else deals in the order of a hash map; the tokenizer that is returned has them as pieces.
    inside = [CONTINUING + letter for letter in letters] if words else []
    prefix = {"continuing_subword_prefix": CONTINUING} if words else {}
    # A word is never too long and a byte never unknown; were one, it would be an error, since
    # the library's `[UNK]` is not in the vocabulary.
    word_pieces = partial(lib.models.WordPiece, max_input_chars_per_word=2**31, **prefix)
    make, trainer = {
        "bpe": (lib.models.BPE, lib.trainers.BpeTrainer),
        "wordpiece": (word_pieces, lib.trainers.WordPieceTrainer),
        "unigram": (lib.models.Unigram, lib.trainers.UnigramTrainer),
    }[model]
    special = {"special_tokens": SPECIAL + inside, "initial_alphabet": letters}
    inner = _byte_level(lib, make())
    learner = trainer(vocab_size=vocab_size, show_progress=False, **special, **prefix)
    inner.train_from_iterator(texts, trainer=learner)
    if words:
        inner = _byte_level(lib, make(inner.get_vocab()))
        unmarked = lib.decoders.Replace(CONTINUING, "")
        inner.decoder = lib.decoders.Sequence([unmarked, lib.decoders.ByteLevel()])
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
