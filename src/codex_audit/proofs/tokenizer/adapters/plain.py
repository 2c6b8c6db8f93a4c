"""Any object with `encode` and `decode`; `docs/tokenizer-proofs.md` lists what more it may have."""

from __future__ import annotations

import contextlib
import copy
import inspect
import operator
from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from codex_audit.proofs.tokenizer.loading import Adapter
from codex_audit.proofs.tokenizer.normalization import unknown_name
from codex_audit.proofs.tokenizer.subject import (
    Layout,
    MalformedError,
    Rows,
    Span,
    Subject,
    WrongFormError,
    is_of_tiktoken,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_SPECIAL = ("special", "add_special_tokens")
_BOTH = (("bos", "eos"), ("add_bos", "add_eos"))  # as Llama's and torchtune's
_FILES = ("file", "prefix")
_GIVEN = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_FRAMED = ("max_length", "padding_side", "truncation_side", "pad_to")


class PlainSubject(Subject):
    """An object that follows the protocol; optional members are used where it has them."""

    kind = "protocol"

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        declared = getattr(inner, "normalization", ())
        self.implied = (declared,) if isinstance(declared, str) else tuple(declared or ())
        wrong = unknown_name(self.implied)
        if wrong is not None:
            raise MalformedError(
                f"{type(inner).__name__}.normalization: {wrong!r} is no normalisation; "
                "docs/tokenizer-proofs.md lists them"
            )

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        if self._both:
            return self._ids(text, **dict.fromkeys(self._both, special))
        if self._switch:
            return self._ids(text, **{self._switch: special})
        ids = self._ids(text)
        begin, end = self._always
        framed = ids[: len(begin)] == begin and ids[len(ids) - len(end) :] == end
        if special or not framed or len(ids) < len(begin) + len(end):
            return ids
        return ids[len(begin) : len(ids) - len(end)]

    def _ids(self, text: str, **named: Any) -> list[int]:
        try:
            return ids_of(self.inner.encode(text, **named))
        except ValueError as error:
            if not (is_of_tiktoken(error) and _names(self.inner.encode)[1]):
                raise
        # It hands on what it is given, and the error says how the text is taken as text.
        return ids_of(self.inner.encode(text, disallowed_special=(), **named))

    def decode(self, ids: Sequence[int]) -> str:
        decode = self.inner.decode
        skip = {"skip_special_tokens": True} if "skip_special_tokens" in _names(decode)[0] else {}
        return _text(decode(list(ids), **skip))

    def encode_batch(self, texts: Sequence[str], *, special: bool = False) -> list[list[int]]:
        encode = self._has("encode_batch", "batches")
        name = self._batch_switch
        if name is None and self._switch is not None and special:
            self.lacks(f"argument {self._switch} of encode_batch()")
        ids, mask = _rows(encode(list(texts), **({name: special} if name else {})))
        if len(ids) != len(texts):
            raise WrongFormError(f"{len(ids)} rows for {len(texts)} texts")
        rows = [ids_of(row) for row in ids]
        if mask is not None:
            odd = next((p for p in zip(rows, mask, strict=False) if len(p[0]) != len(p[1])), None)
            if odd or len(mask) != len(rows):
                row, kept = odd or (rows, mask)
                raise WrongFormError(f"ids and mask of a batch differ: {len(row)} and {len(kept)}")
            rows = [
                [token for token, kept in zip(row, kept_row, strict=True) if kept]
                for row, kept_row in zip(rows, mask, strict=True)
            ]
        begin, end = self._always
        bare = special or name is not None or not (begin or end)
        return rows if bare else [row[len(begin) : len(row) - len(end)] for row in rows]

    def decode_batch(self, rows: Sequence[Sequence[int]]) -> list[str]:
        decode = self._has("decode_batch", "decoding of batches")
        skip = {"skip_special_tokens": True} if "skip_special_tokens" in _names(decode)[0] else {}
        return [_text(text) for text in decode([list(row) for row in rows], **skip)]

    def padded(self, texts: Sequence[str], layout: Layout) -> Rows:
        encode = self._has("encode_batch", "padded batches")
        takes = self._batch_takes
        asked: dict[str, Any] = {}
        for name, value, usual in (
            ("pad_to", layout.length, None),
            ("max_length", layout.max_length, None),
            ("padding_side", layout.padding_side, "right"),
            ("truncation_side", layout.truncation_side, "right"),
        ):
            if name in takes and (value is not None or usual is None):
                asked[name] = value
            elif value not in {usual, None}:
                self.lacks(f"argument {name} of encode_batch()")
        if not asked:
            self.lacks("padded batches: encode_batch() takes none of " + ", ".join(_FRAMED))
        if self._batch_switch:
            asked[self._batch_switch] = True
        found = encode(list(texts), **asked)
        ids, mask = _rows(found)
        if mask is None:
            self.lacks("masks: encode_batch() returns no object with `ids` and `mask`")
        special = getattr(found, "special_mask", None)
        return Rows(
            [ids_of(row) for row in ids],
            [[int(kept) for kept in row] for row in mask],
            None if special is None else [[int(one) for one in row] for row in special],
        )

    def changed_argument(self, texts: Sequence[str]) -> str:
        rows = [self.encode(text, special=True) for text in texts]
        calls = {
            "decode": max(rows, key=len, default=[]),
            "decode_batch": rows,
            "encode_batch": list(texts),
        }
        for name, given in calls.items():
            call: Any = getattr(self.inner, name, None)
            before = copy.deepcopy(given)
            with contextlib.suppress(Exception):  # of which other proofs tell
                call(given)
            if given != before:
                return f"{name}() changes the list that it is given"
        return ""

    def offsets(self, text: str) -> list[Span]:
        spans = [tuple(span) for span in self._has("offsets", "offsets")(text)]
        ids = self.encode(text)
        if len(ids) != len(spans):
            raise ValueError(f"offsets() gave {len(spans)} places for {len(ids)} ids")
        pairs = zip(ids, spans, strict=True)
        return [Span(token, int(start), int(end)) for token, (start, end) in pairs]

    def save(self, directory: Path) -> None:
        self._of("save", "saving", _FILES)(directory)

    def load(self, directory: Path) -> Subject:
        self._of("load", "loading", _FILES)
        return self._other("load", directory)

    def state(self) -> str:
        found = self._has("state", "a serialised form")
        return str(found() if callable(found) else found)

    def train(self, texts: Sequence[str]) -> Subject:
        self._of("train", "training", (*_FILES, "path"))
        return self._other("train", list(texts))

    def stream(self, ids: Sequence[int]) -> Iterator[str]:
        return iter(self._has("stream", "a streaming decoder of its own")(list(ids)))

    def vocabulary(self) -> list[tuple[str | bytes, int]]:
        found = self._value("vocabulary", "vocab", "get_vocab")
        if found is None:
            self.lacks("a vocabulary that can be listed")
        pairs = found.items() if isinstance(found, Mapping) else list(found)
        if all(isinstance(token, str | bytes) for token in pairs):  # in the order of their ids
            shown = Counter(token for token in pairs if isinstance(token, str))
            if any(count > 1 and "\ufffd" in token for token, count in shown.items()):
                self.lacks("a vocabulary that tells bytes apart: it shows them as U+FFFD")
            return [(token, number) for number, token in enumerate(pairs)]
        # Some list what an id stands for, and not the id of a token.
        ordered = (pair if _is_id(pair[1]) else pair[::-1] for pair in map(tuple, pairs))
        return [(token, operator.index(number)) for token, number in ordered]

    def normalize(self, text: str) -> str:
        return _text(self._has("normalize", "a normalisation of its own")(text))

    @property
    def domain(self) -> Sequence[str]:
        return tuple(map(_text, self._value("domain") or ()))

    @property
    def size(self) -> int | None:
        found = self._value("vocab_size", "n_vocab")
        return None if found is None else int(found)

    @property
    def special_ids(self) -> Mapping[str, int]:
        found = self._value("special_ids", "special_tokens")
        if isinstance(found, Mapping):
            return dict(found)
        told = self._value("all_special_ids")  # a list, as in transformers and open_clip
        if not isinstance(told, list | tuple) or not all(map(_is_id, told)):
            return {}
        return {self.inner.decode([number]).strip(): number for number in told}

    @property
    def added(self) -> Sequence[str]:
        return tuple(self._value("added_tokens") or ())

    @property
    def pad_id(self) -> int | None:
        found = self._value("pad_id", "pad_token_id")
        return None if found is None or int(found) < 0 else int(found)  # -1 of SentencePiece

    @property
    def unknown_id(self) -> int | None:
        found = self._value("unk_id", "unk_token_id")
        return None if found is None else int(found)

    @property
    def covers_all(self) -> bool:
        return bool(self._value("covers_all"))

    def _of(self, name: str, what: str, others: tuple[str, ...]) -> Any:
        """A method of one argument; one that takes more, or what is called so, is no such."""
        method = self._has(name, what)
        try:
            takes = [p for p in inspect.signature(method).parameters.values() if p.name != "self"]
        except (TypeError, ValueError):  # as in `_names`
            return method
        needed = [each for each in takes if each.default is each.empty and each.kind in _GIVEN]
        if len(needed) > 1 or any(other in each.name for each in takes[:1] for other in others):
            self.lacks(f"{what} by one argument: {name}() takes {needed[-1].name}")
        return method

    def _other(self, name: str, argument: Any) -> Subject:
        """What a method gives, called on a copy, for it may change the object instead."""
        try:
            own = copy.deepcopy(self.inner)
        except Exception:  # noqa: BLE001 - `pickled` tells of it
            own = self.inner
        found = getattr(own, name)(argument)
        return type(self)(own if found is None else found)

    def _has(self, name: str, what: str) -> Any:
        found = getattr(self.inner, name, None)
        return self.lacks(what) if found is None else found

    def _value(self, *names: str) -> Any:
        for name in names:
            found = getattr(self.inner, name, None)
            if found is not None:
                return found() if callable(found) else found
        return None

    @cached_property
    def _both(self) -> tuple[str, ...]:
        """The arguments of `encode` that ask for a begin and for an end token."""
        takes, _ = _names(self.inner.encode)
        return next((both for both in _BOTH if takes.issuperset(both)), ())

    @cached_property
    def _switch(self) -> str | None:
        """The argument of `encode` that asks for begin and end tokens."""
        takes, anything = _names(self.inner.encode)
        for name in _SPECIAL:
            if name in takes:
                return name
            try:
                both = [self.inner.encode("a", **{name: value}) for value in (True, False)]
                if anything and ids_of(both[0]) != ids_of(both[1]):
                    return name
            except Exception:  # noqa: BLE001, S112 - then it is no argument of it  # nosec B112
                continue
        return None

    @cached_property
    def _always(self) -> tuple[list[int], list[int]]:
        """Begin and end tokens of an `encode` that cannot be asked to leave them out."""
        if self._both or self._switch:
            return [], []
        try:
            frame, one = ids_of(self.inner.encode("")), ids_of(self.inner.encode("a"))
        except Exception:  # noqa: BLE001 - the proofs will say so
            return [], []
        known = set(self.special_ids.values())
        for cut in range(len(frame), -1, -1):
            begin, end = frame[:cut], frame[cut:]
            if known.issuperset(frame) and one[:cut] == begin and one[len(one) - len(end) :] == end:
                return begin, end
        return [], []

    @cached_property
    def _batch_switch(self) -> str | None:
        takes, anything = _names(self.inner.encode_batch)
        if anything and self._switch and self._switch not in takes:
            return self._switch if self._accepts({self._switch: True}) else None
        return next((name for name in _SPECIAL if name in takes), None)

    @cached_property
    def _batch_takes(self) -> frozenset[str]:
        takes, anything = _names(self.inner.encode_batch)
        if not anything:
            return takes
        tried = {"pad_to": 8, "max_length": 8, "padding_side": "left", "truncation_side": "left"}
        return takes | {name for name, value in tried.items() if self._accepts({name: value})}

    def _accepts(self, arguments: dict[str, Any]) -> bool:
        """Whether an `encode_batch` that takes any keyword takes these."""
        try:
            self.inner.encode_batch(["a"], **arguments)
        except Exception:  # noqa: BLE001 - then it does not
            return False
        return True


def ids_of(value: Any) -> list[int]:
    """Ids as a list of integers, whether they came as a list, an array or an encoding.

    Raises:
        WrongFormError: they are no integers.
    """
    if isinstance(value, Mapping) and "input_ids" in value:
        value = value["input_ids"]
    value = getattr(value, "ids", value)
    value = value.tolist() if hasattr(value, "tolist") else value
    try:
        return [operator.index(token) for token in value]
    except TypeError:
        raise WrongFormError(f"{value!r:.60}, not a list of ids") from None


def _is_id(value: Any) -> bool:
    return hasattr(value, "__index__")


def _rows(found: Any) -> tuple[Any, Any]:
    """The ids and the masks of a batch, whatever they are called in it; no masks in a list."""
    for ids, mask in (("ids", "mask"), ("input_ids", "attention_mask")):
        if isinstance(found, Mapping) and ids in found:
            return found[ids], found.get(mask)
        if hasattr(found, ids):
            return getattr(found, ids), getattr(found, mask, None)
    return found, None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise WrongFormError(f"{value!r:.60}, not a text")
    return value


def _names(function: Any) -> tuple[frozenset[str], bool]:
    """The arguments that a function takes by name, and whether it takes any other."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # a function of a compiled library may not tell
        return frozenset(), False
    anything = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters)
    return frozenset(each.name for each in parameters), anything


ADAPTER = Adapter(
    kind="protocol",
    order=90,
    wraps=lambda thing: all(callable(getattr(thing, name, None)) for name in ("encode", "decode")),
    wrap=PlainSubject,
)
