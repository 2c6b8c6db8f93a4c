"""transformers, fast and slow: a directory of `save_pretrained`, or such a tokenizer."""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from codex_audit.proofs.tokenizer.adapters.huggingface import Document, of_python, told
from codex_audit.proofs.tokenizer.loading import Adapter, of_module
from codex_audit.proofs.tokenizer.subject import Layout, Rows, Span, Subject

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class TransformersSubject(Subject):
    """A `PreTrainedTokenizerBase`, called as users do; special tokens in a text are text."""

    kind = "transformers"
    libraries = ("transformers", "tokenizers")

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self._fast = bool(getattr(inner, "is_fast", False))
        self._document = Document(told(inner.backend_tokenizer)) if self._fast else None
        marks = self._document is not None and self._document.marks_spaces
        self.implied = ("underscore-space",) if marks or hasattr(inner, "sp_model") else ()

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        return list(self._call(text, special=special)["input_ids"])

    def encode_added(self, text: str) -> list[int]:
        if self._fast:
            return self.encode(text)
        # Slow ones look for no added token where special ones are text.
        return list(self.inner(text, add_special_tokens=False, verbose=False)["input_ids"])

    def decode(self, ids: Sequence[int]) -> str:
        return str(self.inner.decode(list(ids), skip_special_tokens=True))

    def encode_batch(self, texts: Sequence[str], *, special: bool = False) -> list[list[int]]:
        return self._call(list(texts), special=special)["input_ids"] if texts else []

    def decode_batch(self, rows: Sequence[Sequence[int]]) -> list[str]:
        return list(self.inner.batch_decode([list(r) for r in rows], skip_special_tokens=True))

    def padded(self, texts: Sequence[str], layout: Layout) -> Rows:
        if self.inner.pad_token is None:
            self.lacks("padding token")
        room = layout.max_length is None or layout.max_length > len(self.encode("", special=True))
        if not (room or self._fast):
            raise ValueError("slow ones log an error, and cut nothing")
        sides = self.inner.padding_side, self.inner.truncation_side
        self.inner.padding_side = layout.padding_side or sides[0]
        self.inner.truncation_side = layout.truncation_side or sides[1]
        try:
            found = self.inner(
                list(texts),
                padding=True if layout.length is None else "max_length",
                truncation=layout.max_length is not None,
                max_length=layout.max_length or layout.length,
                return_attention_mask=True,
                return_special_tokens_mask=True,
                verbose=False,
                **self._split,
            )
        finally:
            self.inner.padding_side, self.inner.truncation_side = sides
        names = ("input_ids", "attention_mask", "special_tokens_mask")
        return Rows(*(found[name] for name in names))

    def offsets(self, text: str) -> list[Span]:
        if not self._fast:
            self.lacks("offsets")
        found = self._call(text, special=False, return_offsets_mapping=True)
        pairs = zip(found["input_ids"], found["offset_mapping"], strict=True)
        return [Span(token, start, end) for token, (start, end) in pairs]

    def save(self, directory: Path) -> None:
        self._serialised()
        self.inner.save_pretrained(directory)

    def load(self, directory: Path) -> TransformersSubject:
        return TransformersSubject(
            type(self.inner).from_pretrained(directory, local_files_only=True)
        )

    def state(self) -> str:
        """All that a later call depends on: each call sets padding and truncation anew."""
        self._serialised()
        inner = self.inner
        names = ("padding_side", "truncation_side", "model_max_length", "special_tokens_map")
        told = {name: str(getattr(inner, name, None)) for name in names}
        told["vocabulary"] = json.dumps(inner.get_vocab(), sort_keys=True)
        if self._fast:
            backend = json.loads(inner.backend_tokenizer.to_str())
            told["backend"] = json.dumps({**backend, "padding": None, "truncation": None})
        return json.dumps(told)

    def _serialised(self) -> None:
        if self._fast and (step := of_python(self.inner.backend_tokenizer)):
            self.lacks(f"a serialised form: its {step} is written in Python")

    def vocabulary(self) -> list[tuple[str | bytes, int]]:
        if self._document is not None:
            return self._document.vocabulary
        return [(token, int(number)) for token, number in self.inner.get_vocab().items()]

    def unreachable_merges(self, limit: int) -> tuple[int, list[str]]:
        found = None if self._document is None else self._document.unreachable_merges(limit)
        return self.lacks("merges that stand for themselves") if found is None else found

    def unmade_tokens(self) -> list[str]:
        return [] if self._document is None else self._document.unmade_tokens()

    @property
    def size(self) -> int | None:
        return len(self.inner)

    @property
    def special_ids(self) -> Mapping[str, int]:
        tokens = dict.fromkeys(str(token) for token in self.inner.all_special_tokens)
        # Those that no attribute names are skipped by decode(), too.
        tokens |= dict.fromkeys(name for name, special in self._added() if special)
        return {token: self.inner.convert_tokens_to_ids(token) for token in tokens}

    @property
    def added(self) -> Sequence[str]:
        # Slow ones may have their end token there, as text.
        own = self.special_ids
        return [name for name, special in self._added() if not special and name not in own]

    def _added(self) -> list[tuple[str, bool]]:
        """Added tokens, and whether each is a control token; before 4.34 slow ones do not tell."""
        added = self.inner.added_tokens_decoder.values()
        return [(str(token), bool(getattr(token, "special", False))) for token in added]

    @property
    def pad_id(self) -> int | None:
        return None if self.inner.pad_token is None else int(self.inner.pad_token_id)

    @property
    def unknown_id(self) -> int | None:
        return None if self.inner.unk_token is None else self.inner.unk_token_id

    @property
    def covers_all(self) -> bool:
        return self._document is not None and self._document.byte_level

    def component(self, side: Literal["encode", "decode"]) -> str:
        if side == "decode" and getattr(self.inner, "clean_up_tokenization_spaces", False):
            return "decoder (clean_up_tokenization_spaces is on)"
        if self._document is None:
            return super().component(side)
        return self._document.component(side)

    @cached_property
    def _split(self) -> dict[str, bool]:
        """By what special tokens in a text are text; fast ones before 4.42 refuse it."""
        asked = {"split_special_tokens": True}
        try:
            self.inner("", **asked)
        except TypeError as error:
            return {} if "split_special_tokens" in str(error) else asked
        return asked

    def _call(self, texts: str | list[str], *, special: bool, **options: Any) -> Any:
        return self.inner(
            texts,
            **self._split,
            add_special_tokens=special,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
            **options,
        )


def _load(path: Path) -> TransformersSubject:
    from transformers import AutoTokenizer  # noqa: PLC0415 - only in a trial

    # Nothing is fetched, and no code of the directory is run.
    return TransformersSubject(
        AutoTokenizer.from_pretrained(  # nosec B615 - it fetches nothing
            path, local_files_only=True, trust_remote_code=False
        )
    )


ADAPTER = Adapter(
    kind="transformers",
    order=20,
    form="a directory with tokenizer_config.json of transformers",
    reads=lambda path: (path / "tokenizer_config.json").is_file(),
    load=_load,
    wraps=lambda thing: of_module(thing, "transformers.PreTrainedTokenizerBase"),
    wrap=TransformersSubject,
)
