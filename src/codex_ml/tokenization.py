"""Text to ids and back, exactly: one protocol and the adapter for Hugging Face `tokenizers`.

Byte-level BPE: Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units",
ACL 2016, over bytes as in Radford et al., "Language Models are Unsupervised Multitask
Learners", 2019: every text has a spelling, so none is unknown and each comes back as it was.
"""

from __future__ import annotations

import hashlib
import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path
    from types import ModuleType

    import tokenizers

PAD, BOS, EOS = "<pad>", "<bos>", "<eos>"


@dataclass(frozen=True, slots=True)
class Batch:
    """Texts as ids, padded to one length.

    Attributes:
        ids: one row a text, all of the same length.
        mask: 1 for a token, 0 for padding, of the same shape.
    """

    ids: list[list[int]]
    mask: list[list[int]]


class Tokenizer(Protocol):
    """What the rest of the kit asks of a tokenizer."""

    @property
    def vocab_size(self) -> int:
        """Number of ids, special ones included: all ids are smaller."""
        ...

    @property
    def pad_id(self) -> int:
        """The id that fills rows of a batch."""
        ...

    @property
    def special_ids(self) -> Mapping[str, int]:
        """Special token -> id."""
        ...

    def encode(self, text: str, *, special: bool = True) -> list[int]:
        """The ids of `text`, between the begin and end tokens if `special`."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`, special tokens left out."""
        ...

    def encode_batch(
        self,
        texts: Sequence[str],
        *,
        special: bool = True,
        max_length: int | None = None,
        pad_to: int | None = None,
    ) -> Batch:
        """The ids of several texts as one padded batch."""
        ...

    def save(self, path: Path) -> str:
        """Write it to `path` and return its hash."""
        ...


class HuggingFaceTokenizer:
    """A Hugging Face `tokenizers.Tokenizer`, used so that nothing of a text is lost.

    Special tokens that occur in a text are text: they are encoded as their characters, so no
    input can forge the end of a document.

    Args:
        inner: a `tokenizers.Tokenizer`.
        pad: its padding token; None takes what it declares, or `<pad>`.

    Raises:
        ValueError: `pad` is not in its vocabulary.
    """

    def __init__(self, inner: tokenizers.Tokenizer, *, pad: str | None = None) -> None:
        declared = inner.padding if pad is None else None
        self._pad = str(declared["pad_token"]) if declared else pad or PAD
        pad_id = declared["pad_id"] if declared else inner.token_to_id(self._pad)
        if pad_id is None:
            raise ValueError(
                f"the tokenizer has no token {self._pad!r}; name its padding token in `pad`"
            )
        self.inner = inner
        self._pad_id = int(pad_id)
        # Settings of a loaded file would pad or cut single texts, and not be seen from here.
        inner.no_padding()
        inner.no_truncation()
        inner.encode_special_tokens = True

    @classmethod
    def train(cls, texts: Iterable[str], *, vocab_size: int = 1000) -> HuggingFaceTokenizer:
        """Train a byte-level BPE.

        Args:
            texts: the corpus, read once.
            vocab_size: ids in all: 256 bytes, three special tokens, and merges.

        Raises:
            ModuleNotFoundError: `tokenizers` is not installed.
            ValueError: `vocab_size` has no room for bytes and special tokens.
        """
        library = _library()
        special = [PAD, BOS, EOS]
        least = 256 + len(special)
        if vocab_size < least:
            raise ValueError(f"vocab_size={vocab_size}: bytes and special tokens take {least}")
        inner = library.Tokenizer(library.models.BPE())
        inner.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
        inner.decoder = library.decoders.ByteLevel()
        trainer = library.trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=special,
            initial_alphabet=sorted(library.pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        inner.train_from_iterator(texts, trainer=trainer)
        inner.post_processor = library.processors.TemplateProcessing(
            single=f"{BOS} $A {EOS}",
            special_tokens=[(token, inner.token_to_id(token)) for token in (BOS, EOS)],
        )
        return cls(inner)

    @classmethod
    def load(
        cls, path: Path, *, pad: str | None = None, expected_hash: str | None = None
    ) -> HuggingFaceTokenizer:
        """Load a `tokenizer.json`.

        Args:
            path: the file.
            pad: its padding token; None takes what it declares, or `<pad>`.
            expected_hash: what `save` returned; None does not check.

        Raises:
            ModuleNotFoundError: `tokenizers` is not installed.
            OSError: the file cannot be read.
            ValueError: it has another hash, or no token `pad`.
        """
        library = _library()
        text = path.read_bytes().decode()
        found = hashlib.sha256(text.encode()).hexdigest()
        if expected_hash is not None and found != expected_hash:
            raise ValueError(
                f"{path}: its SHA-256 is {found}, not {expected_hash}: another tokenizer than "
                "the model was trained with; restore that file"
            )
        return cls(library.Tokenizer.from_str(text), pad=pad)

    @property
    def vocab_size(self) -> int:
        """Number of ids, special ones included."""
        return int(self.inner.get_vocab_size(with_added_tokens=True))

    @property
    def pad_id(self) -> int:
        """The id that fills rows of a batch."""
        return self._pad_id

    @property
    def special_ids(self) -> dict[str, int]:
        """Special token -> id."""
        added = self.inner.get_added_tokens_decoder()
        return {token.content: int(i) for i, token in sorted(added.items()) if token.special}

    @property
    def hash(self) -> str:
        """SHA-256 of the file that `save` writes."""
        return hashlib.sha256(self._document()).hexdigest()

    def encode(self, text: str, *, special: bool = True) -> list[int]:
        """The ids of `text`, between the begin and end tokens if `special`."""
        return list(self.inner.encode(text, add_special_tokens=special).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`, special tokens left out."""
        return str(self.inner.decode(list(ids), skip_special_tokens=True))

    def encode_batch(
        self,
        texts: Sequence[str],
        *,
        special: bool = True,
        max_length: int | None = None,
        pad_to: int | None = None,
    ) -> Batch:
        """The ids of several texts as one batch, padded on the right.

        Args:
            texts: any number of texts.
            special: put each between the begin and end tokens.
            max_length: cut longer texts so that they have at most this many ids; the begin
                and end tokens stay.
            pad_to: the length of every row, at least the longest text's; None pads to that.

        Raises:
            ValueError: `max_length` has no room for the special tokens, or a text is longer
                than `pad_to`.
        """
        overhead = self.inner.num_special_tokens_to_add(is_pair=False) if special else 0
        if max_length is not None and max_length <= overhead:
            raise ValueError(
                f"max_length={max_length}: {overhead} special tokens leave no room for text"
            )
        if max_length is not None:
            self.inner.enable_truncation(max_length)
        try:
            encoded = self.inner.encode_batch(list(texts), add_special_tokens=special)
        finally:
            self.inner.no_truncation()  # `encode` must not inherit it
        rows = [list(encoding.ids) for encoding in encoded]
        longest = max(map(len, rows), default=0)
        length = longest if pad_to is None else pad_to
        if longest > length:
            raise ValueError(f"pad_to={length}: a text has {longest} ids; set max_length too")
        return Batch(
            ids=[row + [self._pad_id] * (length - len(row)) for row in rows],
            mask=[[1] * len(row) + [0] * (length - len(row)) for row in rows],
        )

    def save(self, path: Path) -> str:
        """Write `tokenizer.json` to `path` and return its SHA-256.

        Raises:
            OSError: the file cannot be written.
        """
        document = self._document()
        path.write_bytes(document)
        return hashlib.sha256(document).hexdigest()

    def _document(self) -> bytes:
        """Its JSON, with the padding declared, so that the file says by itself how to pad."""
        self.inner.enable_padding(pad_id=self._pad_id, pad_token=self._pad)
        try:
            return str(self.inner.to_str(pretty=True)).encode()
        finally:
            self.inner.no_padding()


def _library() -> ModuleType:
    try:
        return importlib.import_module("tokenizers")
    except ModuleNotFoundError as error:
        if error.name != "tokenizers":
            raise
        raise ModuleNotFoundError(
            "No module named 'tokenizers'; install it with: pip install 'codex-audit[tokenizer]'",
            name="tokenizers",
        ) from error
