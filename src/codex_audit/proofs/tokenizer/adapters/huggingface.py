"""Hugging Face `tokenizers`: a `tokenizer.json`, or a `tokenizers.Tokenizer`."""

from __future__ import annotations

import copy
import json
import pickle  # nosec B403 - nothing is loaded by it
import re
from typing import TYPE_CHECKING, Any, Literal

from codex_audit.proofs.tokenizer import bpe
from codex_audit.proofs.tokenizer.loading import Adapter, of_module
from codex_audit.proofs.tokenizer.subject import Layout, MalformedError, Rows, Span, Subject

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping, Sequence
    from pathlib import Path

FILE = "tokenizer.json"
_STEPS = ("normalizer", "pre_tokenizer", "decoder")
_BRACKETED = re.compile(r"[<\[(|].*[>\])|]", re.DOTALL)
_NUMBERED = re.compile(r"\D+\d+", re.DOTALL)


class Document:
    """What a `tokenizer.json` says, also what loading it hides."""

    def __init__(self, text: str) -> None:
        self.vocabulary: list[tuple[str | bytes, int]] = []
        whole = json.loads(text)
        if not isinstance(whole, dict) or not isinstance(whole.get("model"), dict):
            raise MalformedError(f"not a {FILE}: it has no table `model`; write it again")
        self.whole: dict[str, Any] = whole
        self.model: dict[str, Any] = whole["model"]
        self._list_vocabulary(text)

    def _list_vocabulary(self, text: str) -> None:
        raw = json.loads(text, object_pairs_hook=_pairs)
        model = dict(raw)["model"]
        vocabulary = dict(model).get("vocab") or ()
        self.vocabulary = [
            (str(key), value) if isinstance(value, int) else (str(key), place)
            for place, (key, value) in enumerate(vocabulary)
        ]
        known = set(self.vocabulary)
        for token in self.whole.get("added_tokens") or ():
            entry = (token["content"], token["id"])
            self.vocabulary += [entry] if entry not in known else []
            known.add(entry)
        padding = self.whole.get("padding") or {}
        if "pad_id" in padding:
            entry = (padding["pad_token"], padding["pad_id"])
            self.vocabulary += [entry] if entry not in known else []

    @property
    def special_ids(self) -> dict[str, int]:
        """Control tokens: the special ones that were added, and padding."""
        added = self.whole.get("added_tokens") or ()
        found = {token["content"]: token["id"] for token in added if token.get("special")}
        padding = self.whole.get("padding") or {}
        if "pad_id" in padding:
            found[padding["pad_token"]] = padding["pad_id"]
        return found

    @property
    def unknown(self) -> str | None:
        """The token that stands for what is unknown."""
        if self.model.get("type") == "Unigram":
            place = self.model.get("unk_id")
            return None if place is None else str(self.model["vocab"][place][0])
        token = self.model.get("unk_token")
        return None if token is None else str(token)

    @property
    def byte_level(self) -> bool:
        """Whether every byte is meant to have a token."""
        return self.model.get("byte_fallback") is True or "ByteLevel" in (
            _types(self.whole.get("pre_tokenizer")) + _types(self.whole.get("normalizer"))
        )

    @property
    def marks_spaces(self) -> bool:
        """Whether U+2581 stands for a space."""
        steps = [self.whole.get(name) for name in ("pre_tokenizer", "normalizer", "decoder")]
        return any(
            "Metaspace" in _types(step) or "\u2581" in json.dumps(step, ensure_ascii=False)
            for step in steps
        )

    def component(self, side: Literal["encode", "decode"]) -> str:
        """The steps that can change a text, by their types."""
        names = ("normalizer", "pre_tokenizer") if side == "encode" else ("decoder",)
        told = [
            f"{name.replace('_', '-')} ({', '.join(types)})"
            for name in names
            if (types := _types(self.whole.get(name)))
        ]
        return " or ".join(told) or f"{names[0]}, of which there is none, or the vocabulary"

    @property
    def _merges(self) -> list[tuple[str, str]]:
        """The merges of a model that makes each token of several symbols by them."""
        affixed = any(
            self.model.get(k) for k in ("continuing_subword_prefix", "end_of_word_suffix")
        )
        if self.model.get("type") != "BPE" or affixed or self.model.get("ignore_merges"):
            return []
        pairs = (m.split(" ", 1) if isinstance(m, str) else m for m in self.model["merges"])
        return [(str(left), str(right)) for left, right in pairs]

    def unmade_tokens(self) -> list[str]:
        """Tokens of several symbols that no merge makes."""
        merges = self._merges
        if not merges:
            return []
        made = {left + right for left, right in merges} | {self.unknown}
        made |= {token["content"] for token in self.whole.get("added_tokens") or ()}
        tokens = self.model["vocab"].keys()
        unmade = [token for token in tokens if len(token) > 1 and token not in made]
        # `<0x0A>`, `[unused1]` and `madeupword0001` are there to be no text.
        return [
            token
            for token in unmade
            if not _BRACKETED.fullmatch(token)
            and (_spelled(token, tokens) or not _NUMBERED.fullmatch(token))
        ]

    def unreachable_merges(self, limit: int) -> tuple[int, list[str]] | None:
        """How many merged tokens were tried and which no text reaches; None without merges."""
        merges = self._merges
        if not merges:
            return None
        ranks = {pair: rank for rank, pair in reversed(list(enumerate(merges)))}
        tokens = list(dict.fromkeys(left + right for left, right in merges))
        tried = tokens[:: max(1, len(tokens) // limit)]
        return len(tried), bpe.unreachable(tried, lambda a, b: ranks.get((a, b)), list)


class HuggingFaceSubject(Subject):
    """A `tokenizers.Tokenizer`, used so that special tokens in a text are text.

    The truncation that its file asks for is for batches, and is left out where text is judged; one
    that a call leaves behind is not.
    """

    kind = "tokenizers"
    libraries = ("tokenizers",)

    def __init__(self, inner: Any, text: str | None = None) -> None:
        self.inner = inner
        self._of_python = "" if text is not None else of_python(inner)
        self.document = Document(told(inner) if text is None else text)
        inner.encode_special_tokens = True
        self._cuts = inner.truncation
        self._uncut = None if self._cuts is None else _without_truncation(inner)
        self.implied = ("underscore-space",) if self.document.marks_spaces else ()

    @property
    def _whole(self) -> Any:
        asked = self._uncut is not None and self.inner.truncation == self._cuts
        return self._uncut if asked else self.inner

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        return _kept(self._whole.encode(text, add_special_tokens=special))

    def decode(self, ids: Sequence[int]) -> str:
        return str(self.inner.decode(list(ids), skip_special_tokens=True))

    def encode_batch(self, texts: Sequence[str], *, special: bool = False) -> list[list[int]]:
        return [_kept(e) for e in self._whole.encode_batch(list(texts), add_special_tokens=special)]

    def decode_batch(self, rows: Sequence[Sequence[int]]) -> list[str]:
        return list(self.inner.decode_batch([list(row) for row in rows], skip_special_tokens=True))

    def padded(self, texts: Sequence[str], layout: Layout) -> Rows:
        pad = self.pad_token
        if pad is None or self.pad_id is None:
            self.lacks("padding token")
        before = self.inner.padding, self.inner.truncation
        try:
            self.inner.enable_padding(
                pad_id=self.pad_id, pad_token=pad, length=layout.length,
                direction=layout.padding_side or (before[0] or {}).get("direction", "right"),
            )  # fmt: skip
            self.inner.no_truncation()
            if layout.max_length is not None:
                side = layout.truncation_side or (before[1] or {}).get("direction", "right")
                self.inner.enable_truncation(layout.max_length, direction=side)
            found = self.inner.encode_batch(list(texts), add_special_tokens=True)
        finally:
            restore(self.inner, *before)
        return Rows(
            [list(e.ids) for e in found],
            [list(e.attention_mask) for e in found],
            [list(e.special_tokens_mask) for e in found],
        )

    def offsets(self, text: str) -> list[Span]:
        found = self._whole.encode(text, add_special_tokens=False)
        rows = zip(found.ids, found.offsets, found.attention_mask, strict=True)
        return [Span(token, start, end) for token, (start, end), kept in rows if kept]

    def save(self, directory: Path) -> None:
        self._serialised()
        self.inner.save(str(directory / FILE))

    def load(self, directory: Path) -> HuggingFaceSubject:
        return _load(directory / FILE)

    def state(self) -> str:
        self._serialised()
        return str(self.inner.to_str())

    def _serialised(self) -> None:
        if self._of_python:
            self.lacks(f"a serialised form: its {self._of_python} is written in Python")

    def stream(self, ids: Sequence[int]) -> Iterator[str]:
        from tokenizers import decoders  # noqa: PLC0415

        if not hasattr(decoders, "DecodeStream"):  # before 0.21
            self.lacks("a streaming decoder of its own")
        steps = decoders.DecodeStream(skip_special_tokens=True)
        for token in ids:
            yield steps.step(self.inner, token) or ""

    def vocabulary(self) -> list[tuple[str | bytes, int]]:
        return self.document.vocabulary

    def unreachable_merges(self, limit: int) -> tuple[int, list[str]]:
        found = self.document.unreachable_merges(limit)
        return self.lacks("merges that stand for themselves") if found is None else found

    def unmade_tokens(self) -> list[str]:
        return self.document.unmade_tokens()

    @property
    def cuts_to(self) -> int | None:
        return None if self._cuts is None else int(self._cuts["max_length"])

    @property
    def size(self) -> int | None:
        return int(self.inner.get_vocab_size(with_added_tokens=True))

    @property
    def special_ids(self) -> Mapping[str, int]:
        return self.document.special_ids

    @property
    def added(self) -> Sequence[str]:
        added = self.document.whole.get("added_tokens") or ()
        return [token["content"] for token in added if not token.get("special")]

    @property
    def pad_token(self) -> str | None:
        """The declared padding token, or a special one of that name."""
        declared = (self.document.whole.get("padding") or {}).get("pad_token")
        names = [token for token in self.document.special_ids if "pad" in token.lower()]
        return declared or next(iter(names), None)

    @property
    def pad_id(self) -> int | None:
        return None if self.pad_token is None else self.document.special_ids[self.pad_token]

    @property
    def unknown_id(self) -> int | None:
        token = self.document.unknown
        return None if token is None else self.inner.token_to_id(token)

    @property
    def covers_all(self) -> bool:
        return self.document.byte_level

    def component(self, side: Literal["encode", "decode"]) -> str:
        return self.document.component(side)


def of_python(inner: Any) -> str:
    """The step of a `tokenizers.Tokenizer` that is a Python object, which is not serialised."""
    for name in _STEPS:
        step = getattr(inner, name)
        try:
            pickle.dumps(step)
        except Exception:  # noqa: BLE001 - a bare one, by which it says so
            return name.replace("_", "-")
    return ""


def told(inner: Any) -> str:
    """The serialised form, less the step that has none."""
    own = of_python(inner).replace("-", "_")
    if not own:
        return str(inner.to_str())
    step = getattr(inner, own)
    import tokenizers  # noqa: PLC0415 - it is there: `inner` is its

    try:
        # None is refused before 0.20.
        setattr(inner, own, getattr(tokenizers, f"{own}s").Sequence([]))
        return told(inner)
    finally:
        setattr(inner, own, step)


def _without_truncation(inner: Any) -> Any:
    """A copy that cuts nothing; none where a step of Python's keeps it from being copied."""
    if of_python(inner):
        return None
    copied = copy.deepcopy(inner)
    copied.no_truncation()
    copied.encode_special_tokens = True
    return copied


def restore(inner: Any, padding: dict[str, Any] | None, truncation: dict[str, Any] | None) -> None:
    """Give a `tokenizers.Tokenizer` back the padding and truncation that it had."""
    inner.no_padding()
    inner.no_truncation()
    if padding:
        inner.enable_padding(**padding)
    if truncation:
        inner.enable_truncation(**truncation)


def _kept(encoding: Any) -> list[int]:
    pairs = zip(encoding.ids, encoding.attention_mask, strict=True)
    return [token for token, kept in pairs if kept]


def _spelled(token: str, tokens: Container[str]) -> bool:
    """Whether two other tokens, side by side, spell a token, as those do that a merge makes."""
    return any(token[:i] in tokens and token[i:] in tokens for i in range(1, len(token)))


def _pairs(pairs: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    return pairs


def _types(step: dict[str, Any] | None) -> list[str]:
    if not step:
        return []
    inner = next((step[k] for k in ("normalizers", "pretokenizers", "decoders") if k in step), None)
    if inner is None:
        return [str(step.get("type"))]
    return [name for each in inner for name in _types(each)]


def _load(path: Path) -> HuggingFaceSubject:
    import tokenizers  # noqa: PLC0415 - only in a trial

    text = path.read_text(encoding="utf-8")
    return HuggingFaceSubject(tokenizers.Tokenizer.from_str(text), text)


def _reads(path: Path) -> bool:
    if path.is_dir():
        return (path / FILE).is_file() and not (path / "tokenizer_config.json").is_file()
    return path.suffix == ".json"


ADAPTER = Adapter(
    kind="tokenizers",
    order=30,
    form="a tokenizer.json of `tokenizers`",
    reads=_reads,
    load=lambda path: _load(path / FILE if path.is_dir() else path),
    wraps=lambda thing: of_module(thing, "tokenizers.Tokenizer"),
    wrap=HuggingFaceSubject,
)
