"""The adapter for Hugging Face `tokenizers`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from codex_ml import optional
from codex_ml.tokenization import vocabulary
from codex_ml.tokenization.protocol import PAD, Adapter, Rows, Side

if TYPE_CHECKING:
    import tokenizers


class HuggingFaceTokenizer(Adapter):
    """A Hugging Face `tokenizers.Tokenizer`, used so that nothing of a text is lost.

    Args:
        inner: a `tokenizers.Tokenizer`.
        pad: its padding token; None takes what it declares, or `<pad>`.
    """

    kind = "tokenizers"

    def __init__(self, inner: tokenizers.Tokenizer, *, pad: str | None = None) -> None:
        declared = inner.padding if pad is None else None
        self._pad = str(declared["pad_token"]) if declared else pad or PAD
        pad_id = declared["pad_id"] if declared else inner.token_to_id(self._pad)
        if pad_id is None:
            raise ValueError(f"the tokenizer has no token {self._pad!r}; name one in `pad`")
        self.inner = inner
        self.settings, self.pad_id = {}, int(pad_id)
        self.vocab_size = int(inner.get_vocab_size(with_added_tokens=True))
        added = sorted(inner.get_added_tokens_decoder().items())
        self.special_ids = {token.content: int(i) for i, token in added if token.special}
        self.overhead = int(inner.num_special_tokens_to_add(is_pair=False))
        # Settings of a loaded file would pad or cut single texts, and not be seen from here.
        inner.no_padding()
        inner.no_truncation()
        inner.encode_special_tokens = True

    @classmethod
    def train(
        cls, texts: Iterable[str], *, vocab_size: int = 1000, model: vocabulary.Model = "bpe"
    ) -> HuggingFaceTokenizer:
        """Train a byte-level vocabulary; arguments and errors are those of `vocabulary.train`."""
        return cls(vocabulary.train(texts, vocab_size=vocab_size, model=model))

    @classmethod
    def load(cls, path: Path, *, pad: str | None = None) -> HuggingFaceTokenizer:
        """Load a `tokenizer.json`; `pad` as for the class."""
        tokenizer = optional.load("tokenizers", extra="tokenizer").Tokenizer
        return cls(tokenizer.from_str(path.read_text(encoding="utf-8")), pad=pad)

    def encode(self, text: str, *, special: bool = True) -> list[int]:
        return list(self.inner.encode(text, add_special_tokens=special).ids)

    def decode(self, ids: Sequence[int]) -> str:
        return str(self.inner.decode(list(ids), skip_special_tokens=True))

    def save(self, path: Path) -> None:
        """Write `tokenizer.json` to `path`, with the padding declared: it says how to pad."""
        written = type(self.inner).from_str(self.inner.to_str())
        written.enable_padding(pad_id=self.pad_id, pad_token=self._pad)
        path.write_text(written.to_str(pretty=True), encoding="utf-8")

    def _rows(self, texts: list[str], *, special: bool, room: int | None, side: Side) -> Rows:
        # The fast variant leaves out the offsets into the text, which nobody asks for here.
        encode = self.inner.encode_batch_fast
        if room is None:
            return [encoding.ids for encoding in encode(texts, add_special_tokens=special)]
        # The library's own truncation is a setting, which other threads would encode under too.
        rows = []
        for encoding in encode(texts, add_special_tokens=False):
            encoding.truncate(room, direction=side)
            rows.append(self.inner.post_process(encoding, add_special_tokens=special).ids)
        return rows
