"""The adapter for tiktoken encodings, saved whole: tiktoken itself would fetch them by name."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from codex_ml import optional
from codex_ml.tokenization.protocol import FramingAdapter, Rows


class TiktokenTokenizer(FramingAdapter):
    """A `tiktoken.Encoding`.

    Args:
        inner: the encoding.
        pad: the special token that fills rows; encodings often have none of their own, and
            their end token serves, since the mask tells them apart.
        bos: the special token before each text; None for none.
        eos: that after it; None for none.
    """

    kind = "tiktoken"

    def __init__(
        self, inner: Any, *, pad: str, bos: str | None = None, eos: str | None = None
    ) -> None:
        special = {token: inner.encode_single_token(token) for token in inner.special_tokens_set}
        for token in (pad, bos, eos):
            if token is not None and token not in special:
                known = ", ".join(sorted(special))
                raise ValueError(f"{token!r} is no special token of {inner.name}: {known}")
        self.inner, self.vocab_size, self.pad_id = inner, int(inner.n_vocab), special[pad]
        self.special_ids = dict(sorted(special.items(), key=lambda item: item[1]))
        self.settings = {"pad": pad, "bos": bos, "eos": eos}
        self.begin, self.end = ([] if token is None else [special[token]] for token in (bos, eos))
        self.overhead = len(self.begin + self.end)

    @classmethod
    def load(
        cls, path: Path, *, pad: str, bos: str | None = None, eos: str | None = None
    ) -> TiktokenTokenizer:
        """Load what `save` wrote; the tokens are as for the class."""
        encoding = optional.load("tiktoken", extra="text").Encoding
        try:
            document = json.loads(path.read_bytes())
            inner = encoding(
                document["name"],
                pat_str=document["pat_str"],
                mergeable_ranks={
                    base64.b64decode(piece, validate=True): rank
                    for piece, rank in document["mergeable_ranks"].items()
                },
                special_tokens=document["special_tokens"],
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path}: not a saved encoding ({error!r})") from error
        return cls(inner, pad=pad, bos=bos, eos=eos)

    def save(self, path: Path) -> None:
        # Private names, but those by which tiktoken's README extends an encoding.
        ranks = self.inner._mergeable_ranks  # noqa: SLF001
        document = {
            "name": self.inner.name,
            "pat_str": self.inner._pat_str,  # noqa: SLF001
            "special_tokens": self.special_ids,
            "mergeable_ranks": {base64.b64encode(piece).decode(): n for piece, n in ranks.items()},
        }
        path.write_text(json.dumps(document, indent=1), encoding="utf-8")

    def _plain(self, texts: list[str]) -> Rows:
        rows: Rows = self.inner.encode_ordinary_batch(texts)
        return rows
