"""Tokenizers that no proof may fail, made here from a small corpus; each with what it declares."""

from __future__ import annotations

import io
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from codex_audit.proofs.tokenizer import loading
from codex_audit.proofs.tokenizer.texts import CORPUS

if TYPE_CHECKING:
    from collections.abc import Callable

SPECIAL = ["<pad>", "<s>", "</s>"]
PATTERN = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
    r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)


class Good(NamedTuple):
    """A subject, and the normalisations that are declared for it."""

    make: Callable[[], Any]
    normalization: tuple[str, ...] = ()


def byte_level_bpe() -> Any:
    """GPT-2's kind: bytes, no normalizer; a template puts begin and end around."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=SPECIAL,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return tokenizer


def wordpiece() -> Any:
    """BERT's kind: lower case, no accents, words and punctuation apart, [UNK] for the rest."""
    from tokenizers import (
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        processors,
        trainers,
    )

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=600, special_tokens=names, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def metaspace_bpe() -> Any:
    """Llama's kind in `tokenizers`: U+2581 for spaces, bytes for what is rare."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never", split=True)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    names = ["<unk>", "<pad>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=names[:2], limit_alphabet=80, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    document = json.loads(tokenizer.to_str())
    for name in names[2:]:
        document["model"]["vocab"].setdefault(name, len(document["model"]["vocab"]))
    return Tokenizer.from_str(json.dumps(document))


def fast(**options: Any) -> Any:
    """transformers' fast tokenizer around the byte-level BPE."""
    from transformers import PreTrainedTokenizerFast

    names = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
    make: Any = PreTrainedTokenizerFast
    return make(tokenizer_object=byte_level_bpe(), **names, **options)


def slow() -> Any:
    """transformers' ByT5: every byte a token, in Python."""
    from transformers import ByT5Tokenizer

    return ByT5Tokenizer()


def sentencepiece_exact() -> Any:
    """A SentencePiece unigram that was trained to lose nothing."""
    return _spm(
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=False,
        byte_fallback=True,
        pad_id=3,
    )


def sentencepiece_default() -> Any:
    """A SentencePiece BPE as it is trained by default: NFKC, one space for many, a prefix."""
    return _spm(model_type="bpe", byte_fallback=True, pad_id=3)


def tiktoken() -> Any:
    """A tiktoken encoding of our own ranks."""
    import tiktoken as library

    from codex_audit.proofs.tokenizer import bpe

    ranks = {bytes([byte]): byte for byte in range(256)}
    for word in (
        b"th",
        b"the",
        b" t",
        b" th",
        b" the",
        b"in",
        b"ing",
        b"er",
        b"\xc3\xa9",
        b"  ",
        b" \xe4",
    ):
        ranks[word] = len(ranks)
    unreachable = bpe.unreachable(
        ranks, lambda a, b: ranks.get(a + b), lambda t: [t[i : i + 1] for i in range(len(t))]
    )
    ranks = {t: rank for rank, t in enumerate(t for t in ranks if t not in unreachable)}
    return library.Encoding(
        "own", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={"<|endoftext|>": len(ranks)}
    )


def kit() -> Any:
    """The reference kit's byte-level BPE."""
    from codex_ml.tokenization import HuggingFaceTokenizer

    return HuggingFaceTokenizer.train(CORPUS, vocab_size=400)


def kit_unigram() -> Any:
    """The reference kit's byte-level Unigram."""
    from codex_ml.tokenization import HuggingFaceTokenizer

    return HuggingFaceTokenizer.train(CORPUS, vocab_size=400, model="unigram")


def saved_fast() -> Any:
    """The fast tokenizer as a directory of `save_pretrained`, loaded by the adapter."""
    place = Path(tempfile.mkdtemp())
    fast().save_pretrained(place)
    return loading.from_path(place).inner


class Points:
    """Code points as ids behind the protocol, with all its optional members."""

    pad_id = 0
    special_ids = {"<pad>": 0, "<s>": 1, "</s>": 2}
    vocab_size = 0x110000 + 3

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        text.encode()  # refuses lone surrogates
        ids = [ord(character) + 3 for character in text]
        return [1, *ids, 2] if special else ids

    def decode(self, ids: list[int]) -> str:
        return "".join(chr(number - 3) for number in ids if number > 2)

    def encode_batch(
        self, texts: list[str], *, special: bool = False, max_length: int | None = None,
        pad_to: int | None = None, padding_side: str = "right", truncation_side: str = "right",
    ) -> dict[str, list[list[int]]]:  # fmt: skip
        rows = []
        for text in texts:
            ids = self.encode(text)
            room = len(ids) if max_length is None else max_length - 2 * special
            ids = ids[:room] if truncation_side == "right" else ids[max(0, len(ids) - room) :]
            rows.append([1, *ids, 2] if special else ids)
        width = max([*map(len, rows), pad_to or 0])
        fill = [[0] * (width - len(row)) for row in rows]
        ones = [[1] * len(row) for row in rows]
        if padding_side == "left":
            return {
                "ids": [f + r for f, r in zip(fill, rows)],
                "mask": [f + o for f, o in zip(fill, ones)],
            }
        return {
            "ids": [r + f for f, r in zip(fill, rows)],
            "mask": [o + f for f, o in zip(fill, ones)],
        }

    def offsets(self, text: str) -> list[tuple[int, int]]:
        return [(place, place + 1) for place in range(len(text))]

    def save(self, directory: Path) -> None:
        (directory / "points.txt").write_text("points")

    @classmethod
    def load(cls, directory: Path) -> Points:
        assert (directory / "points.txt").read_text() == "points"
        return cls()


class Characters:
    """nanoGPT's kind: the letters of one text, and an unknown."""

    unk_id = 0

    def __init__(self) -> None:
        self.letters = sorted(set("".join(CORPUS[-3:])))

    def encode(self, text: str) -> list[int]:
        text.encode()
        return [self.letters.index(c) + 1 if c in self.letters else 0 for c in text]

    def decode(self, ids: list[int]) -> str:
        return "".join(self.letters[number - 1] if number else "\ufffd" for number in ids)


class Proteins:
    """Proteins in one-letter code, and no other text."""

    letters = "ACDEFGHIKLMNPQRSTVWYUXBZO"
    domain: tuple[str, ...] = (
        "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRVGDGTQDNLSGAEKAVQVKVKALPDAQFEVV",
        "GSHMSLFDFFKNKGSAATATDRLKLILAKERTLNLPYMEEMRKEIIAVIQKYTKSSDIHFKTLDSNQSVE",
        "ACDEFGHIKLMNPQRSTVWY", "MVLSPADKTNVKAAW", "XXBZO", "MUC",
    )  # fmt: skip

    def encode(self, text: str) -> list[int]:
        return [self.letters.index(letter) for letter in text]

    def decode(self, ids: list[int]) -> str:
        return "".join(self.letters[number] for number in ids)

    def offsets(self, text: str) -> list[tuple[int, int]]:
        return [(place, place + 1) for place in range(len(text))]


class Moves:
    """Chess moves, a word each."""

    domain = ("e4 e5 Nf3 Nc6 Bb5 a6", "d4 d5 c4", "e4 c5 Nf3", "d4 Nf6 c4 e6 Nc3 Bb4", "O-O O-O-O")

    def __init__(self) -> None:
        self.words = sorted({move for game in self.domain for move in game.split()})
        self.ids = {move: number for number, move in enumerate(self.words)}

    def encode(self, text: str) -> list[int]:
        return [self.ids[move] for move in text.split()]

    def decode(self, ids: list[int]) -> str:
        return " ".join(self.words[number] for number in ids)


def roberta() -> Any:
    """RoBERTa's kind: a space before the first word, and offsets that leave it out."""
    from tokenizers import pre_tokenizers, processors

    tokenizer = byte_level_bpe()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 1))
    return tokenizer


def gpt2_left() -> Any:
    """GPT-2's kind, padded at the left with its end token."""
    from transformers import PreTrainedTokenizerFast

    make: Any = PreTrainedTokenizerFast
    tokenizer = byte_level_bpe()
    tokenizer.post_processor = None
    names = dict.fromkeys(("bos_token", "eos_token", "unk_token", "pad_token"), "</s>")
    return make(tokenizer_object=tokenizer, padding_side="left", **names)


def _spm(**options: Any) -> Any:
    import sentencepiece

    model = io.BytesIO()
    lines = (line for text in CORPUS for line in text.split("\n") if line.strip())
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=lines, model_writer=model, vocab_size=700, hard_vocab_limit=False,
        minloglevel=2, num_threads=1, **options,
    )  # fmt: skip
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


GOOD: dict[str, Good] = {
    "byte-level BPE": Good(byte_level_bpe),
    "WordPiece": Good(
        wordpiece, ("lowercase", "strip-accents", "clean-text", "spacing", "zero-width")
    ),
    "Metaspace BPE": Good(metaspace_bpe),
    "transformers fast": Good(fast),
    "transformers directory": Good(saved_fast),
    "transformers slow": Good(slow),
    "sentencepiece, exact": Good(sentencepiece_exact),
    "sentencepiece, default": Good(
        sentencepiece_default, ("nmt-nfkc", "collapse-whitespace", "strip")
    ),
    "sentencepiece, suffix": Good(
        lambda: _spm(treat_whitespace_as_suffix=True, byte_fallback=True),
        ("nmt-nfkc", "collapse-whitespace", "strip"),
    ),
    "RoBERTa": Good(roberta, ("leading-space",)),
    "GPT-2, padded at the left": Good(gpt2_left),
    "tiktoken": Good(tiktoken),
    "kit": Good(kit),
    "kit, Unigram": Good(kit_unigram),
    "protocol": Good(Points),
    "protocol, with unknown": Good(Characters),
    "protocol, of proteins": Good(Proteins),
    "protocol, of chess moves": Good(Moves),
}
