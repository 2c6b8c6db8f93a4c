"""The adapter for tokenizers of `transformers`, fast and slow, from local files."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from codex_ml.tokenization.protocol import Adapter, Side, demand, library

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class TransformersTokenizer(Adapter):
    """A tokenizer of transformers, of any class derived from `PreTrainedTokenizerBase`.

    Args:
        inner: the tokenizer.
        pad: its padding token; None takes what it declares.

    Raises:
        ValueError: it has no padding token, or `pad` is not in its vocabulary.
    """

    kind = "transformers"

    def __init__(self, inner: Any, *, pad: str | None = None) -> None:
        token = pad if pad is not None else inner.pad_token
        if token is None or token not in inner.get_vocab():
            raise ValueError(
                f"the tokenizer has no padding token {token!r}; name one of its tokens in `pad`"
            )
        self.tokenizer = inner
        self._pad = str(token)

    @classmethod
    def load(
        cls, path: Path, *, pad: str | None = None, expected_hash: str | None = None
    ) -> TransformersTokenizer:
        """Load what `save_pretrained` wrote; nothing is fetched and no code of it is run.

        Args:
            path: the directory.
            pad: its padding token; None takes what it declares.
            expected_hash: what `save` returned; None does not check.

        Raises:
            ModuleNotFoundError: `transformers` is not installed.
            OSError: there is no tokenizer.
            ValueError: it has another hash, or no padding token.
        """
        if not path.is_dir():
            raise NotADirectoryError(f"{path}: not a directory; a tokenizer of transformers is one")
        if expected_hash is not None:
            demand(path, tree_hash(path), expected_hash)
        auto = library("transformers").AutoTokenizer
        inner = auto.from_pretrained(path, local_files_only=True, trust_remote_code=False)
        return cls(inner, pad=pad)

    @property
    def vocab_size(self) -> int:
        """Number of ids, special ones included."""
        return len(self.tokenizer)

    @property
    def pad_id(self) -> int:
        """The id that fills rows of a batch."""
        return int(self.tokenizer.convert_tokens_to_ids(self._pad))

    @property
    def special_ids(self) -> dict[str, int]:
        """Special token -> id."""
        tokens = self.tokenizer.all_special_tokens
        return {token: int(self.tokenizer.convert_tokens_to_ids(token)) for token in tokens}

    @property
    def settings(self) -> dict[str, Any]:
        """The padding token."""
        return {"pad": self._pad}

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`, special tokens left out."""
        return str(
            self.tokenizer.decode(
                list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
        )

    def save(self, path: Path) -> str:
        """Write the directory `path` with `save_pretrained` and return a hash over its files.

        Raises:
            OSError: it cannot be written.
        """
        self.tokenizer.save_pretrained(path)
        return tree_hash(path)

    def _overhead(self) -> int:
        return int(self.tokenizer.num_special_tokens_to_add(pair=False))

    def _rows(
        self, texts: list[str], *, special: bool, max_length: int | None, side: Side
    ) -> list[list[int]]:
        if not texts:
            return []
        before = self.tokenizer.truncation_side
        self.tokenizer.truncation_side = side
        try:
            encoded = self.tokenizer(
                texts,
                add_special_tokens=special,
                truncation=max_length is not None,
                max_length=max_length,
                padding=False,
                split_special_tokens=True,
                return_attention_mask=False,
                return_token_type_ids=False,
                verbose=False,
            )
        finally:
            self.tokenizer.truncation_side = before
        return [list(map(int, row)) for row in encoded["input_ids"]]


def tree_hash(directory: Path) -> str:
    """SHA-256 over the names and contents of all files below `directory`."""
    whole = hashlib.sha256()
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            whole.update(f"{path.relative_to(directory).as_posix()}\0{digest}\n".encode())
    return whole.hexdigest()
