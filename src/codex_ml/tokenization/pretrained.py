"""The adapter for tokenizers of `transformers`, fast and slow, from local files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from codex_ml import optional
from codex_ml.tokenization.protocol import Adapter, Rows, Side


class TransformersTokenizer(Adapter):
    """A tokenizer of transformers, of any class derived from `PreTrainedTokenizerBase`.

    It sets how to truncate before each batch, so threads need one each.

    Args:
        inner: the tokenizer.
        pad: its padding token; None takes what it declares.
    """

    kind = "transformers"

    def __init__(self, inner: Any, *, pad: str | None = None) -> None:
        token = pad if pad is not None else inner.pad_token
        if token is None or token not in inner.get_vocab():
            raise ValueError(f"the tokenizer has no padding token {token!r}; name one in `pad`")
        self.tokenizer = inner
        self.settings = {"pad": str(token)}
        number = inner.convert_tokens_to_ids
        self.vocab_size, self.pad_id = len(inner), int(number(token))
        self.special_ids = {special: int(number(special)) for special in inner.all_special_tokens}
        self.overhead = int(inner.num_special_tokens_to_add(pair=False))

    @classmethod
    def load(cls, path: Path, *, pad: str | None = None) -> TransformersTokenizer:
        """Load a directory of `save_pretrained`; nothing is fetched and no code of it is run."""
        if not path.is_dir():
            raise NotADirectoryError(f"{path}: not a directory; a tokenizer of transformers is one")
        auto = optional.load("transformers", extra="text").AutoTokenizer
        inner = auto.from_pretrained(path, local_files_only=True, trust_remote_code=False)
        return cls(inner, pad=pad)

    def decode(self, ids: Sequence[int]) -> str:
        decode = self.tokenizer.decode
        return str(decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def save(self, path: Path) -> None:
        self.tokenizer.save_pretrained(path)

    def _rows(self, texts: list[str], *, special: bool, room: int | None, side: Side) -> Rows:
        if not texts:
            return []
        before = self.tokenizer.truncation_side
        self.tokenizer.truncation_side = side
        try:
            encoded = self.tokenizer(
                texts,
                add_special_tokens=special,
                truncation=room is not None,
                max_length=None if room is None else room + special * self.overhead,
                padding=False,
                split_special_tokens=True,
                return_attention_mask=False,
                return_token_type_ids=False,
                verbose=False,
            )
        finally:
            self.tokenizer.truncation_side = before
        return [list(map(int, row)) for row in encoded["input_ids"]]
