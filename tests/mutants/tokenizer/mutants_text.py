"""Mutants that lose, change or misplace text."""

from __future__ import annotations

import json
import unicodedata
from typing import TYPE_CHECKING, Any

from mutants.tokenizer.good import Characters, Points, byte_level_bpe, fast, sentencepiece_exact
from mutants.tokenizer.registry import mutant

if TYPE_CHECKING:
    from collections.abc import Iterator


def _with(**parts: Any) -> Any:
    tokenizer = byte_level_bpe()
    for name, part in parts.items():
        setattr(tokenizer, name, part)
    return tokenizer


@mutant("round_trip", "lowercase", "every uncased BERT")
def lower_cases() -> Any:
    """A normalizer lower-cases."""
    from tokenizers import normalizers

    return _with(normalizer=normalizers.Lowercase())


@mutant("round_trip", "nfc")
def composes() -> Any:
    """A normalizer composes combining marks."""
    from tokenizers import normalizers

    return _with(normalizer=normalizers.NFC())


@mutant("round_trip", "nfkc", "the default of SentencePiece")
def folds_compatibility() -> Any:
    """A normalizer folds ligatures and full-width letters."""
    from tokenizers import normalizers

    return _with(normalizer=normalizers.NFKC())


@mutant("round_trip", "strip-accents", "huggingface/tokenizers issue 215")
def strips_accents() -> Any:
    """A normalizer strips accents."""
    from tokenizers import normalizers

    return _with(normalizer=normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents()]))


@mutant("round_trip", "strip", "huggingface/transformers issue 3091")
def strips_ends() -> Any:
    """A normalizer strips spaces at both ends."""
    from tokenizers import normalizers

    return _with(normalizer=normalizers.Strip())


@mutant("round_trip", "collapse-whitespace")
def collapses_spaces() -> Any:
    """A normalizer makes one space of many."""
    from tokenizers import Regex, normalizers

    return _with(normalizer=normalizers.Replace(Regex(r"\s+"), " "))


@mutant("round_trip", "leading-space", "GPT-2's add_prefix_space")
def adds_prefix_space() -> Any:
    """The pre-tokenizer puts a space before the first word."""
    from tokenizers import pre_tokenizers

    return _with(pre_tokenizer=pre_tokenizers.ByteLevel(add_prefix_space=True))


@mutant("round_trip", "punctuation-spacing", "huggingface/transformers PR 31938")
def cleans_up() -> Any:
    """Decoding drops spaces before punctuation."""
    # Since 5.0 transformers does so for a BPE only when told twice.
    return fast(
        clean_up_tokenization_spaces=True,
        clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output=True,
    )


@mutant("round_trip", "line-ends")
class RewritesLineEnds(Points):
    """CRLF becomes LF."""

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        return super().encode(text.replace("\r\n", "\n"), special=special)

    def offsets(self, text: str) -> list[tuple[int, int]]:
        return [(i, i + 1) for i, c in enumerate(text) if text[i : i + 2] != "\r\n"]


@mutant("round_trip", "decode", "Blaizzy/mlx-vlm PR 835")
class IgnoresBytes(Points):
    """Decoding drops what is no UTF-8, and reads characters beyond 16 bits so."""

    def decode(self, ids: list[int]) -> str:
        return "".join(c for c in super().decode(ids) if ord(c) < 0x10000)


@mutant("round_trip", "raises", "every character vocabulary without an unknown")
class RaisesOnTheUnknown(Characters):
    """A character that was not in the corpus raises KeyError."""

    unk_id = None  # type: ignore[assignment]

    def encode(self, text: str) -> list[int]:
        known = {letter: number + 1 for number, letter in enumerate(self.letters)}
        return [known[letter] for letter in text]


@mutant("unknown_text", "vanishes", "paiml/aprender PR 2139")
def drops_the_unknown() -> Any:
    """A BPE without an unknown token drops letters that its alphabet lacks."""
    from tokenizers import Tokenizer

    document = json.loads(byte_level_bpe().to_str())
    lost = {letter for letter in document["model"]["vocab"] if len(letter) == 1 and letter > "~"}
    vocabulary = [t for t in document["model"]["vocab"] if lost.isdisjoint(t)]
    document["model"]["vocab"] = {token: number for number, token in enumerate(vocabulary)}
    document["model"]["merges"] = [
        pair for pair in document["model"]["merges"] if lost.isdisjoint("".join(pair))
    ]
    return Tokenizer.from_str(json.dumps(document))


@mutant("unknown_text", "bytes")
def lacks_bytes() -> Any:
    """A byte-level vocabulary lacks half of the bytes, and says unknown instead."""
    from tokenizers import Tokenizer

    document = json.loads(drops_the_unknown().to_str())
    model = document["model"]
    model["vocab"]["<unk>"] = len(model["vocab"])
    model["unk_token"] = "<unk>"
    return Tokenizer.from_str(json.dumps(document))


@mutant("unknown_text", "neighbours")
class UnknownEatsAll(Characters):
    """One unknown character makes the whole text unknown."""

    def encode(self, text: str) -> list[int]:
        ids = super().encode(text)
        return [0] if 0 in ids else ids


@mutant("surrogates_refused", "neither refused nor marked")
class DropsSurrogates(Points):
    """Lone surrogates are dropped by errors='ignore'."""

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        return super().encode(text.encode(errors="ignore").decode(), special=special)


@mutant("offsets", "offset", "huggingface/tokenizers issue 156")
class OffsetsInBytes(Points):
    """Offsets count bytes."""

    def offsets(self, text: str) -> list[tuple[int, int]]:
        return [(len(text[:i].encode()), len(text[: i + 1].encode())) for i in range(len(text))]


@mutant("offsets", "offset", "huggingface/tokenizers issue 215", normalization=("nfkc",))
class OffsetsOfNormalized(Points):
    """Offsets count characters of the normalised text."""

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        return super().encode(unicodedata.normalize("NFKC", text), special=special)

    def offsets(self, text: str) -> list[tuple[int, int]]:
        return super().offsets(unicodedata.normalize("NFKC", text))


@mutant("offsets", "offset", "meta-llama/llama3 issue 334")
class OffsetsWithoutExtent(Points):
    """Offsets end where they start."""

    def offsets(self, text: str) -> list[tuple[int, int]]:
        return [(place, place) for place in range(len(text))]


@mutant("streaming", "token by token", "Blaizzy/mlx-vlm PR 835")
class StreamsHalfCharacters:
    """Each byte is decoded by itself as it arrives."""

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def decode(self, ids: list[int]) -> str:
        return bytes(ids).decode(errors="replace")

    def stream(self, ids: list[int]) -> Iterator[str]:
        return (self.decode([number]) for number in ids)


@mutant("streaming", "token by token")
class StreamsWithoutSpaces:
    """A sentencepiece's pieces are decoded one at a time, and lose the space at their start."""

    def __init__(self) -> None:
        self.inner = sentencepiece_exact()

    def encode(self, text: str) -> list[int]:
        return list(self.inner.encode(text))

    def decode(self, ids: list[int]) -> str:
        return str(self.inner.decode(list(ids)))

    normalization = ("underscore-space",)

    def stream(self, ids: list[int]) -> Iterator[str]:
        return (self.decode([number]).lstrip(" ") for number in ids)


@mutant("long_text", "quadratic")
class Quadratic(Points):
    """The rest of the text is copied for every character."""

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        ids, rest = [], text.encode("utf-32-le")
        while rest:
            ids.append(int.from_bytes(rest[:4], "little") + 3)
            rest = rest[4:]
        text.encode()
        return [1, *ids, 2] if special else ids


@mutant("long_text", "end is lost", "a model_max_length that truncates without being asked")
class CutsSilently(Points):
    """Texts of more than 10,000 ids are cut without a word."""

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        return super().encode(text[:10000], special=special)


@mutant("normalization_idempotent", "becomes")
class GrowsASpace(Points):
    """Every pass adds a space at the start."""

    def decode(self, ids: list[int]) -> str:
        return " " + super().decode(ids) if ids else ""


@mutant("normalization_idempotent", "twice is not", normalization=("lowercase", "nfkc"))
class LowersBeforeFolding(Points):
    """Its declared normalisation lower-cases before it folds compatibility capitals."""

    def normalize(self, text: str) -> str:
        return unicodedata.normalize("NFKC", text.lower())

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        return super().encode(self.normalize(text).lower(), special=special)

    offsets = None  # type: ignore[assignment]


@mutant("added_tokens", "added token", "huggingface/tokenizers issues 1392, 1915 and 1996")
class DecodesAddedAsBytes:
    """An added token with a non-ASCII letter is decoded as if its letters were bytes."""

    added_tokens = ("\u0111em",)

    def __init__(self) -> None:
        self.inner = byte_level_bpe()
        self.inner.add_tokens(list(self.added_tokens))
        self.number = self.inner.token_to_id("\u0111em")

    def encode(self, text: str) -> list[int]:
        return list(self.inner.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: list[int]) -> str:
        parts: list[str] = []
        run: list[int] = []
        for number in [*ids, None]:
            if number is None or number == self.number:
                parts.append(self.inner.decode(run))
                parts += ["\x11em"] if number is not None else []
                run = []
            else:
                run.append(number)
        return "".join(parts)


@mutant("added_tokens", "added token", "huggingface/tokenizers issue 1786")
def added_tokens_eat_spaces() -> Any:
    """An added token strips the spaces on both of its sides."""
    from tokenizers import AddedToken

    tokenizer = byte_level_bpe()
    tokenizer.add_tokens([AddedToken("im_patch", lstrip=True, rstrip=True)])
    return tokenizer


@mutant("round_trip", "Replace")
def straightens_quotes() -> Any:
    """A normalizer replaces one curly quote by a straight one."""
    from tokenizers import normalizers

    return _with(normalizer=normalizers.Replace("\u2018", "'"))
