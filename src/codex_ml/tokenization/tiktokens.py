"""The adapter for tiktoken encodings, saved whole: tiktoken itself would fetch them by name."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from typing import TYPE_CHECKING, Any

from codex_ml.tokenization.protocol import Adapter, Side, framed, library, verified

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class TiktokenTokenizer(Adapter):
    """A `tiktoken.Encoding`.

    Args:
        inner: the encoding.
        pad: the special token that fills rows; encodings often have none of their own, and
            their end token serves, since the mask tells them apart.
        bos: the special token before each text; None for none.
        eos: that after it; None for none.

    Raises:
        ValueError: one of them is no special token of the encoding.
    """

    kind = "tiktoken"

    def __init__(
        self, inner: Any, *, pad: str, bos: str | None = None, eos: str | None = None
    ) -> None:
        for token in (pad, bos, eos):
            if token is not None and token not in inner.special_tokens_set:
                known = ", ".join(sorted(inner.special_tokens_set))
                raise ValueError(f"{token!r} is no special token of {inner.name}: {known}")
        self.inner = inner
        self._pad, self._bos, self._eos = pad, bos, eos
        special = self.special_ids
        self._begin = [special[bos]] if bos is not None else []
        self._end = [special[eos]] if eos is not None else []

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        pad: str,
        bos: str | None = None,
        eos: str | None = None,
        expected_hash: str | None = None,
    ) -> TiktokenTokenizer:
        """Load what `save` wrote.

        Args:
            path: the file.
            pad: as for the class.
            bos: as for the class.
            eos: as for the class.
            expected_hash: what `save` returned; None does not check.

        Raises:
            ModuleNotFoundError: `tiktoken` is not installed.
            OSError: the file cannot be read.
            ValueError: it has another hash, is no saved encoding, or lacks a token.
        """
        content = verified(path, expected_hash)
        encoding = library("tiktoken").Encoding
        try:
            document = json.loads(content)
            inner = encoding(
                document["name"],
                pat_str=document["pat_str"],
                mergeable_ranks={
                    base64.b64decode(piece, validate=True): rank
                    for piece, rank in document["mergeable_ranks"].items()
                },
                special_tokens=document["special_tokens"],
            )
        except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
            raise ValueError(f"{path}: not a saved encoding ({error!r})") from error
        return cls(inner, pad=pad, bos=bos, eos=eos)

    @property
    def vocab_size(self) -> int:
        """Number of ids, special ones included."""
        return int(self.inner.n_vocab)

    @property
    def pad_id(self) -> int:
        """The id that fills rows of a batch."""
        return self.special_ids[self._pad]

    @property
    def special_ids(self) -> dict[str, int]:
        """Special token -> id."""
        found = {token: self.inner.encode_single_token(token) for token in self._names()}
        return dict(sorted(found.items(), key=lambda item: item[1]))

    @property
    def settings(self) -> dict[str, Any]:
        """Which of its special tokens pad, begin and end a text."""
        return {"pad": self._pad, "bos": self._bos, "eos": self._eos}

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`, special tokens left out."""
        special = set(self.special_ids.values())
        return str(self.inner.decode([token for token in ids if token not in special]))

    def save(self, path: Path) -> str:
        """Write the encoding to `path` as JSON and return its SHA-256.

        Raises:
            OSError: the file cannot be written.
        """
        # Private names, but those by which tiktoken's README extends an encoding.
        ranks = self.inner._mergeable_ranks  # noqa: SLF001
        document = {
            "name": self.inner.name,
            "pat_str": self.inner._pat_str,  # noqa: SLF001
            "special_tokens": self.special_ids,
            "mergeable_ranks": {
                base64.b64encode(piece).decode(): rank
                for piece, rank in sorted(ranks.items(), key=lambda item: item[1])
            },
        }
        content = json.dumps(document, indent=1).encode()
        path.write_bytes(content)
        return hashlib.sha256(content).hexdigest()

    def _names(self) -> list[str]:
        return sorted(self.inner.special_tokens_set)

    def _overhead(self) -> int:
        return len(self._begin) + len(self._end)

    def _rows(
        self, texts: list[str], *, special: bool, max_length: int | None, side: Side
    ) -> list[list[int]]:
        begin, end = (self._begin, self._end) if special else ([], [])
        rows = self.inner.encode_ordinary_batch(texts)
        return framed(rows, begin=begin, end=end, max_length=max_length, side=side)
