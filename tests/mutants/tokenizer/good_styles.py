"""More tokenizers that no proof may fail, in the styles of published models and libraries."""

from __future__ import annotations

import functools
import json
import re
import tempfile
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

from codex_audit.proofs.tokenizer.texts import CORPUS
from mutants.tokenizer import good
from mutants.tokenizer.good import PATTERN, Good, byte_level_bpe


def whisper() -> Any:
    """Whisper's kind: special tokens for tasks, and timestamps that are text."""
    from tokenizers import AddedToken, processors
    from transformers import PreTrainedTokenizerFast

    tokenizer = byte_level_bpe()
    starts = ["<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|notimestamps|>"]
    tokenizer.add_special_tokens(starts)
    times = [f"<|{place / 50:.2f}|>" for place in range(101)]
    tokenizer.add_tokens([AddedToken(time, normalized=False, special=False) for time in times])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{' '.join(starts)} $A </s>",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in (*starts, "</s>")],
    )
    make: Any = PreTrainedTokenizerFast
    return make(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>")


def llama3() -> Any:
    """Llama 3's kind: tiktoken's ranks converted, words of the vocabulary taken whole."""
    from tokenizers import Regex, Tokenizer, pre_tokenizers, processors

    document = json.loads(byte_level_bpe().to_str())
    document["model"]["ignore_merges"] = True
    tokenizer = Tokenizer.from_str(json.dumps(document))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.add_special_tokens([f"<|reserved_special_token_{n}|>" for n in range(8)])
    tokenizer.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)]),
        ]
    )
    return tokenizer


def reserved() -> Any:
    """RoBERTa's kind: entries of the vocabulary that are there to be no text."""
    from tokenizers import Tokenizer

    document = json.loads(byte_level_bpe().to_str())
    vocabulary = document["model"]["vocab"]
    for name in ("madeupword0000", "madeupword0001", "<unused0>", "[unused1]"):
        vocabulary[name] = len(vocabulary)
    return Tokenizer.from_str(json.dumps(document))


def python_step() -> Any:
    """A pre-tokenizer that is written in Python, and so not saved or pickled."""
    from tokenizers import pre_tokenizers

    class Lines:
        def pre_tokenize(self, text: Any) -> None:
            text.split(lambda _, piece: piece.split("\n", "isolated"))

    tokenizer = byte_level_bpe()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.PreTokenizer.custom(Lines()),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    return tokenizer


class Minbpe:
    """minbpe's kind: merges of bytes, over the whole text; tokens may end with a space."""

    special_tokens: dict[str, int] = {}

    def __init__(self) -> None:
        self.vocab, self.merges = _learnt()

    def encode(self, text: str) -> list[int]:
        return self._chunk(text.encode())

    def decode(self, ids: list[int]) -> str:
        return b"".join(self.vocab[number] for number in ids).decode(errors="replace")

    def offsets(self, text: str) -> list[tuple[int, int]]:
        places = [place for place, letter in enumerate(text) for _ in letter.encode()]
        found, at = [], 0
        for number in self.encode(text):
            end = at + len(self.vocab[number])
            found.append((places[at], places[end - 1] + 1))
            at = end
        return found

    def _chunk(self, data: bytes) -> list[int]:
        ids = list(data)
        while len(ids) > 1:
            pair = min(pairwise(ids), key=lambda pair: self.merges.get(pair, 1 << 30))
            if pair not in self.merges:
                break
            ids = _merged(ids, pair, self.merges[pair])
        return ids


class MinbpeOfWords(Minbpe):
    """minbpe's kind with a split into words, and a special token."""

    special_tokens = {"<|endoftext|>": 300}
    vocab_size = 301

    def encode(self, text: str, allowed_special: str = "none") -> list[int]:
        del allowed_special
        words = re.findall(r" ?\w+| ?[^\s\w]+|\s+(?!\S)|\s", text)
        return [number for word in words for number in self._chunk(word.encode())]

    def train(self, text: str, vocab_size: int, verbose: bool = False) -> None:
        raise AssertionError(f"called with {len(text)}, {vocab_size}, {verbose}")

    def save(self, file_prefix: str) -> None:
        raise AssertionError(f"called with {file_prefix}, which is a directory")

    def load(self, model_file: str) -> None:
        raise AssertionError(f"called with {model_file}, which is a directory")


def _merged(ids: list[int], pair: tuple[int, int], number: int) -> list[int]:
    out: list[int] = []
    for each in ids:
        if out and (out[-1], each) == pair:
            out[-1] = number
        else:
            out.append(each)
    return out


@functools.cache
def _learnt() -> tuple[dict[int, bytes], dict[tuple[int, int], int]]:
    vocab, merges = {byte: bytes([byte]) for byte in range(256)}, {}
    ids = list("\n".join(CORPUS[-3:]).encode())
    for number in range(256, 300):
        pair = max(pairs := Counter(pairwise(ids)), key=pairs.__getitem__)
        merges[pair], vocab[number] = number, vocab[pair[0]] + vocab[pair[1]]
        ids = _merged(ids, pair, number)
    return vocab, merges


def own_class() -> Any:
    """A `PreTrainedTokenizer` of a repository's own: the characters of a text."""
    from transformers import PreTrainedTokenizer

    class OfCharacters(PreTrainedTokenizer):  # type: ignore[misc]
        vocab_files_names = {"vocab_file": "characters.json"}
        model_input_names = ["input_ids", "attention_mask"]

        def __init__(self, vocab_file: str, **options: Any) -> None:
            self.ids = json.loads(Path(vocab_file).read_text(encoding="utf-8"))
            self.characters = {number: character for character, number in self.ids.items()}
            names = {"unk_token": "<unk>", "pad_token": "<pad>", "eos_token": "</s>"}
            super().__init__(**{**names, **options})

        @property
        def vocab_size(self) -> int:
            return len(self.ids)

        def get_vocab(self) -> dict[str, int]:
            return {**self.ids, **self.added_tokens_encoder}

        def _tokenize(self, text: str, **_: Any) -> list[str]:
            return list(text)

        def _convert_token_to_id(self, token: str) -> int:
            return int(self.ids.get(token, self.ids["<unk>"]))

        def _convert_id_to_token(self, number: int) -> str:
            return str(self.characters[number])

        def convert_tokens_to_string(self, tokens: list[str]) -> str:
            return "".join(tokens)

        def save_vocabulary(self, directory: str, filename_prefix: str = "") -> tuple[str]:
            path = Path(directory, f"{filename_prefix or ''}characters.json")
            path.write_text(json.dumps(self.ids), encoding="utf-8")
            return (str(path),)

    names = ["<pad>", "<unk>", "</s>", *sorted(set("".join(CORPUS[-3:])))]
    path = Path(tempfile.mkdtemp(), "characters.json")
    path.write_text(json.dumps({name: n for n, name in enumerate(names)}), encoding="utf-8")
    make: Any = OfCharacters
    return make(str(path))


GOOD: dict[str, Good] = {
    **good.GOOD,
    "Whisper": Good(whisper),
    "Llama 3": Good(llama3),
    "RoBERTa's reserved entries": Good(reserved),
    "a step in Python": Good(python_step),
    "minbpe": Good(Minbpe),
    "minbpe, of words": Good(MinbpeOfWords),
    "a class of transformers' kind": Good(own_class),
}
