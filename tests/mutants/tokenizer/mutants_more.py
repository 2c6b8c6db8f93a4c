"""Mutants that are seen only by unusual text, by a second call, or by another way of calling."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any

from mutants.tokenizer.good import Characters, Points, Proteins, byte_level_bpe
from mutants.tokenizer.registry import mutant

if TYPE_CHECKING:
    from pathlib import Path

Batch = dict[str, list[list[int]]]


class _Rewrites(Points):
    """What is encoded is another text than was given; offsets are not offered."""

    offsets = None  # type: ignore[assignment]
    pattern, into = "", ""

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        text.encode()
        return super().encode(re.sub(self.pattern, self.into, text), special=special)


@mutant("round_trip", "encode side", "basic_clean of open_clip")
class UnescapesHtml(_Rewrites):
    """HTML entities are unescaped."""

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        text.encode()
        return Points.encode(self, html.unescape(html.unescape(text)), special=special)


@mutant("round_trip", "encode side")
class UnescapesBackslashes(_Rewrites):
    """A backslash and an n become a new line."""

    pattern, into = r"\\n", "\n"


@mutant("round_trip", "encode side")
class ShortensRuns(_Rewrites):
    """More than three of a letter become three."""

    pattern, into = r"(\w)\1{3,}", r"\1\1\1"


@mutant("round_trip", "collapse-whitespace")
class CutsIndentation(_Rewrites):
    """More than 24 spaces, for which there is no token, become 24."""

    pattern, into = " {25,}", " " * 24


@mutant("round_trip", "encode side")
class StripsTags(_Rewrites):
    """HTML tags are removed."""

    pattern, into = "</?[a-z]+>", ""


@mutant("round_trip", "zero-width", "Python's utf-8-sig")
class DropsTheMark(_Rewrites):
    """A byte order mark at the start is dropped."""

    pattern = "^\ufeff"


@mutant("round_trip", "control tokens")
class ShowsControlTokens(Points):
    """Decoding writes begin and end tokens out."""

    def decode(self, ids: list[int]) -> str:
        names = {number: name for name, number in self.special_ids.items()}
        return "".join(names.get(number) or chr(number - 3) for number in ids)


@mutant("unknown_text", "control id 0", "`vocab.get(letter, 0)`, where 0 is padding")
class UnknownIsPadding(Points):
    """What the vocabulary lacks becomes padding."""

    offsets = None  # type: ignore[assignment]

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        ids = [number if number < 0x7F + 3 else 0 for number in super().encode(text)]
        return [1, *ids, 2] if special else ids


@mutant(
    "leaves_no_trace", "second time", "smg-project/smg PR 1680: the begin token again, from a cache"
)
class HandsOutItsCache(Points):
    """Begin and end tokens are put into the list that the cache keeps."""

    def __init__(self) -> None:
        self.cache: dict[str, list[int]] = {}

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        ids = self.cache.setdefault(text, super().encode(text))
        if special:
            ids[:] = [1, *ids, 2]
        return ids


@mutant("special_text_is_text", "(encode_batch)")
class BatchesParseSpecials(Points):
    """Encoding a batch looks for special tokens in text, encoding alone does not."""

    special_ids = {"<pad>": 0, "<s>": 1, "</s>": 2, "<|im_end|>": 0x110003}
    vocab_size = 0x110004

    def encode_batch(self, texts: list[str], **options: Any) -> Batch:
        found = super().encode_batch(texts, **options)
        spelled = [ord(character) + 3 for character in "<|im_end|>"]
        for row in found["ids"]:
            for place in range(len(row) - len(spelled) + 1):
                if row[place : place + len(spelled)] == spelled:
                    row[place] = 0x110003
        return found


@mutant("special_frame", "template")
class TrustsItsPrompt(Points):
    """A text that begins with the spelling of the begin token gets none."""

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        ids = super().encode(text, special=special)
        return ids[1:] if special and text.startswith("<s>") else ids


@mutant("batch_equals_single", "batch decoding")
class ShowsControlTokensInBatches(Points):
    """Decoding a batch writes control tokens out, decoding alone does not."""

    def decode_batch(self, rows: list[list[int]]) -> list[str]:
        return [("<s>" if row[:1] == [1] else "") + self.decode(row) for row in rows]


@mutant("long_text", "pieces")
class CutsBetweenBytes(Points):
    """Long texts are cut into pieces of 8 KiB, and lose the character in between."""

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        data = text.encode()
        pieces = [data[i : i + 8192].decode(errors="ignore") for i in range(0, len(data), 8192)]
        return super().encode("".join(pieces), special=special)


@mutant("padding", "masked it is", "huggingface/trl PR 6357, mll-lab-nu/RAGEN issue 59")
class MaskFromIds(Points):
    """The mask is where the id is not padding's, which is the end token's too."""

    pad_id = 2

    def encode_batch(self, texts: list[str], **options: Any) -> Batch:
        ids = [
            [2 if i == 0 else i for i in row]
            for row in super().encode_batch(texts, **options)["ids"]
        ]
        return {"ids": ids, "mask": [[int(i != 2) for i in row] for row in ids]}


@mutant("truncation", "its own ids")
class CutsCharacters(Points):
    """The length is counted in bytes of the text instead of ids."""

    def encode_batch(self, texts: list[str], **options: Any) -> Batch:
        length = options.get("max_length")
        if length is not None and options.get("truncation_side") != "left":
            room = length - 2 * options.get("special", False)
            texts = [text.encode()[:room].decode(errors="ignore") for text in texts]
        return super().encode_batch(texts, **options)


@mutant("save_load", "saving")
class SavesLines(Characters):
    """The vocabulary is saved a token a line, and the new line among them is lost."""

    def save(self, directory: Path) -> None:
        (directory / "vocabulary.txt").write_text("\n".join(self.letters), encoding="utf-8")

    def load(self, directory: Path) -> SavesLines:
        again = SavesLines()
        lines = (directory / "vocabulary.txt").read_text(encoding="utf-8").split("\n")
        again.letters = [line for line in lines if line]
        return again


@mutant("training_deterministic", "another hash seed", "huggingface/tokenizers issue 1794")
class TrainsInSetOrder(Points):
    """Training numbers words in the order of a set; what is shipped was numbered once."""

    def __init__(self, words: tuple[str, ...] = ()) -> None:
        self.words = list(words)

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        text.encode()
        ids = [
            0x110003 + self.words.index(part) if part in self.words else ord(letter) + 3
            for part in re.split(r"\b", text)
            for letter in (part[:1] if part in self.words else part)
        ]
        return [1, *ids, 2] if special else ids

    def decode(self, ids: list[int]) -> str:
        return "".join(
            self.words[number - 0x110003] if number > 0x110002 else chr(number - 3)
            for number in ids
            if number > 2
        )

    vocab_size = 0x110003 + 1000
    offsets = None  # type: ignore[assignment]

    def train(self, texts: list[str]) -> TrainsInSetOrder:
        return TrainsInSetOrder(tuple({w for text in texts for w in re.findall(r"\w+", text)}))


@mutant("new_process_same_ids", "random draws", "huggingface/tokenizers issue 644")
def drops_out() -> Any:
    """The dropout of training's merges is left on."""
    tokenizer = byte_level_bpe()
    tokenizer.model.dropout = 0.3
    return tokenizer


@mutant("threads_agree", "threads")
class KeepsItsPlace(Points):
    """The place in the text is kept on the object."""

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        text.encode()
        ids, self.place = [], 0
        while self.place < len(text):
            ids.append(ord(text[self.place]) + 3)
            self.place += 1
        return [1, *ids, 2] if special else ids


@mutant("unknown_text", "it vanishes")
class LosesResidues(Proteins):
    """A tokenizer of proteins drops the letters that are no residue."""

    def encode(self, text: str) -> list[int]:
        return super().encode("".join(c for c in text if c in self.letters))


@mutant("round_trip", "look at the")
class MistakesAResidue(Proteins):
    """A tokenizer of proteins takes the rare selenocysteine for cysteine."""

    def encode(self, text: str) -> list[int]:
        return super().encode(text.replace("U", "C"))


@mutant("round_trip", "raises ValueError")
class NamesNoDomain(Proteins):
    """A tokenizer of proteins does not say that it is made for nothing else."""

    domain = ()
