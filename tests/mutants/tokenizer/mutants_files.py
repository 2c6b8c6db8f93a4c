"""Mutants of vocabularies, files, copies and processes."""

from __future__ import annotations

import json
import random
import tempfile
from pathlib import Path
from typing import Any

from mutants.tokenizer.good import Points, byte_level_bpe, fast, metaspace_bpe, tiktoken
from mutants.tokenizer.registry import mutant


def _document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(byte_level_bpe().to_str())
    return document


@mutant("ids_in_range", "size", "an embedding that was not resized after tokens were added")
class SizeWithoutSpecial(Points):
    """The size leaves out the special tokens."""

    vocab_size = 0x110000


@mutant("ids_in_range", "-1", "the pad_id of a SentencePiece model without padding")
class PadIsMinusOne(Points):
    """The padding id is -1."""

    pad_id = -1
    special_ids = {"<pad>": -1, "<s>": 1, "</s>": 2}

    encode_batch = None  # type: ignore[assignment]


@mutant("special_ids_distinct", "belongs to", "huggingface/transformers issue 23889")
class EndIsBegin(Points):
    """Begin and end share an id."""

    special_ids = {"<pad>": 0, "<s>": 1, "</s>": 1}

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        ids = super().encode(text)
        return [1, *ids] if special else ids

    encode_batch = None  # type: ignore[assignment]


@mutant("special_ids_distinct", "belongs to")
def pad_is_a_letter() -> Any:
    """The file pads with the id of a letter."""
    from tokenizers import Tokenizer

    document = _document()
    document["padding"] = {
        "strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": None,
        "pad_id": document["model"]["vocab"]["e"], "pad_type_id": 0, "pad_token": "<pad>",
    }  # fmt: skip
    return Tokenizer.from_str(json.dumps(document))


@mutant("vocabulary_distinct", "belongs to")
def two_tokens_one_id() -> Path:
    """Two tokens of the vocabulary's file have one id."""
    document = _document()
    document["model"]["vocab"]["zq"] = document["model"]["vocab"]["zz"] = 500
    path = Path(tempfile.mkdtemp(), "tokenizer.json")
    path.write_text(json.dumps(document))
    return path


@mutant("vocabulary_distinct", "has the ids")
class RepeatedLine(Points):
    """A line of the vocabulary's file comes twice."""

    def vocabulary(self) -> list[tuple[str, int]]:
        return [("a", 100), ("b", 101), ("a", 102)]


@mutant("merges_reachable", "merges")
def reversed_merges() -> Any:
    """Merges are saved in reverse."""
    from tokenizers import Tokenizer

    document = _document()
    document["model"]["merges"].reverse()
    return Tokenizer.from_str(json.dumps(document))


@mutant("merges_reachable", "merges")
def merge_of_nothing() -> Any:
    """A merge needs a part that no merge leads to."""
    from tokenizers import Tokenizer

    document = _document()
    vocabulary = document["model"]["vocab"]
    for token in ("qz", "qzx"):
        vocabulary[token] = len(vocabulary)
    document["model"]["merges"].append(["qz", "x"])
    return Tokenizer.from_str(json.dumps(document))


@mutant("merges_reachable", "never reached")
def unreachable_rank() -> Any:
    """A tiktoken rank stands for bytes that the pattern never leaves together."""
    import tiktoken as library

    good = tiktoken()
    ranks = dict(good._mergeable_ranks)
    ranks[b"q zx"] = len(ranks)
    return library.Encoding("own", pat_str=good._pat_str, mergeable_ranks=ranks, special_tokens={})


@mutant("save_load", "saving", "huggingface/transformers PR 28527")
class ForgetsOnSaving(Points):
    """A setting that changes ids is not saved."""

    def __init__(self, shift: int = 5) -> None:
        self.shift = shift

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        text.encode()
        ids = [ord(character) + 3 + self.shift for character in text]
        return [1, *ids, 2] if special else ids

    def decode(self, ids: list[int]) -> str:
        return "".join(chr(number - 3 - self.shift) for number in ids if number > 2)

    def encode_batch(self, texts: list[str], *, special: bool = False) -> list[list[int]]:  # type: ignore[override]
        return [self.encode(text, special=special) for text in texts]

    vocab_size = 0x110000 + 8

    @classmethod
    def load(cls, directory: Path) -> Points:
        del directory
        return cls(shift=0)


@mutant("save_load", "differs each time")
class SavesTheHour(Points):
    """Each saving writes another file."""

    def save(self, directory: Path) -> None:
        (directory / "points.txt").write_text("points")
        (directory / "note.txt").write_text(str(random.random()))


@mutant("save_load", "special_ids")
class LosesSpecialTokens(Points):
    """Special tokens are not saved."""

    @classmethod
    def load(cls, directory: Path) -> Points:
        loaded = super().load(directory)
        loaded.special_ids = {"<pad>": 0}
        return loaded


@mutant("pickled", "pickling")
class ForgetsOnPickling(ForgetsOnSaving):
    """A setting that changes ids is not pickled."""

    def __reduce__(self) -> Any:
        return ForgetsOnPickling, (0,)

    @classmethod
    def load(cls, directory: Path) -> Points:
        del directory
        return cls()


@mutant("new_process_same_ids", "hash")
class NumbersASet:
    """Letters are numbered in the order of a set."""

    unk_id = 0

    def __init__(self) -> None:
        letters = set("the quick brown fox jumps over the lazy dog THE QUICK BROWN FOX, . !")
        self.letters = list(letters)

    def encode(self, text: str) -> list[int]:
        text.encode()
        return [self.letters.index(c) + 1 if c in self.letters else 0 for c in text]

    def decode(self, ids: list[int]) -> str:
        return "".join(self.letters[number - 1] if number else "\ufffd" for number in ids)


@mutant("new_process_same_ids", "hash")
class HashesWords:
    """Words beyond the vocabulary are numbered with hash()."""

    unk_id = 0

    def __init__(self) -> None:
        self.known: dict[int, str] = {}

    def encode(self, text: str) -> list[int]:
        text.encode()
        ids = [hash(character) % 2**40 for character in text]
        self.known.update(zip(ids, text))
        return ids

    def decode(self, ids: list[int]) -> str:
        return "".join(self.known[number] for number in ids)


@mutant("new_process_same_ids", "second time", "SentencePiece with sampling left on")
class DrawsSegmentations(Points):
    """Sampling of segmentations is left on."""

    special_ids = {}

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        ids = super().encode(text, special=special)
        return [0, *ids] if random.random() < 0.5 else ids

    encode_batch = offsets = None  # type: ignore[assignment]


@mutant(
    "implementations_agree", "differ", "huggingface/transformers issue 29774", other=byte_level_bpe
)
def fast_lost_its_normalizer() -> Any:
    """The fast one of two implementations strips what the slow one keeps."""
    from tokenizers import normalizers

    tokenizer = fast()
    tokenizer.backend_tokenizer.normalizer = normalizers.Strip()
    return tokenizer


@mutant(
    "implementations_agree", "differ", "huggingface/tokenizers issue 1786", other=byte_level_bpe
)
def fast_lost_its_template() -> Any:
    """One of two implementations frames texts, the other does not."""
    from tokenizers import processors

    tokenizer = byte_level_bpe()
    tokenizer.post_processor = processors.ByteLevel()
    return tokenizer


@mutant("training_deterministic", "training")
class TrainsAtRandom(Points):
    """Ties in training are broken at random."""

    def __init__(self, shift: float = 0.0) -> None:
        self.shift = int(shift * 1000)

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        text.encode()
        ids = [ord(character) + 3 + self.shift for character in text]
        return [1, *ids, 2] if special else ids

    def decode(self, ids: list[int]) -> str:
        return "".join(chr(number - 3 - self.shift) for number in ids if number > 2)

    def train(self, texts: list[str]) -> TrainsAtRandom:
        del texts
        return TrainsAtRandom(random.random())

    encode_batch = None  # type: ignore[assignment]


@mutant("long_text", "truncation to 16", "spiceai PR 13416: a tokenizer.json that cuts")
def truncation_in_the_file() -> Any:
    """The file has truncation of an earlier call in it."""
    from tokenizers import Tokenizer

    tokenizer = byte_level_bpe()
    tokenizer.enable_truncation(16)
    return Tokenizer.from_str(tokenizer.to_str())


@mutant("round_trip", "decoder", "the decoder lost by a conversion")
def no_decoder() -> Any:
    """A file without its decoder."""
    from tokenizers import Tokenizer

    document = json.loads(metaspace_bpe().to_str())
    document["decoder"] = None
    return Tokenizer.from_str(json.dumps(document))
