"""tiktoken: ranks in a file (`TOKEN RANK`, in base 64), or a `tiktoken.Encoding`."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Any, Literal

from codex_audit.proofs.tokenizer import bpe
from codex_audit.proofs.tokenizer.loading import Adapter, of_module
from codex_audit.proofs.tokenizer.subject import MalformedError, Span, Subject

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

# A file of ranks does not say how text is split; this is how cl100k_base and its heirs do it.
_PATTERN = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
    r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)
_LINE = re.compile(rb"[A-Za-z0-9+/]+={0,2} \d+\s*")


class TiktokenSubject(Subject):
    """A `tiktoken.Encoding`, used through `encode_ordinary`, by which special tokens are text."""

    kind = "tiktoken"
    libraries = ("tiktoken",)

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self._special = {t: inner.encode_single_token(t) for t in sorted(inner.special_tokens_set)}

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        del special  # an encoding frames nothing
        return list(self.inner.encode_ordinary(text))

    def decode(self, ids: Sequence[int]) -> str:
        control = set(self._special.values())
        return str(self.inner.decode([i for i in ids if i not in control]))

    def encode_batch(self, texts: Sequence[str], *, special: bool = False) -> list[list[int]]:
        del special
        return [list(row) for row in self.inner.encode_ordinary_batch(list(texts))]

    def decode_batch(self, rows: Sequence[Sequence[int]]) -> list[str]:
        return list(self.inner.decode_batch([list(row) for row in rows]))

    def offsets(self, text: str) -> list[Span]:
        ids = self.encode(text)
        _, starts = self.inner.decode_with_offsets(ids)
        # It tells where tokens start; one ends with the last character that begins in it, whole or
        # not: a token may be a space and the first bytes of a letter.
        ends: list[int] = []
        begun = 0
        for token in self.inner.decode_tokens_bytes(ids):
            begun += sum(not 0x80 <= byte < 0xC0 for byte in token)  # noqa: PLR2004 - bytes that go on
            ends.append(begun)
        rows = zip(ids, starts, ends, strict=True)
        return [Span(token, start, end) for token, start, end in rows]

    def state(self) -> str:
        names = ("name", "_pat_str", "_special_tokens", "_mergeable_ranks")
        return str([getattr(self.inner, name, None) for name in names])

    def vocabulary(self) -> list[tuple[str | bytes, int]]:
        return [*self._ranks().items(), *self._special.items()]

    def unreachable_merges(self, limit: int) -> tuple[int, list[str]]:
        """Tokens that merging the pair of lowest rank does not make of their bytes.

        One that is a piece of text as the pattern splits it is looked up whole, and reached so.
        """
        ranks = self._ranks()
        merged = [token for token in ranks if len(token) > 1]
        tried = merged[:: max(1, len(merged) // limit)]
        found = bpe.unreachable(tried, lambda a, b: ranks.get(a + b), _bytes)
        return len(tried), [repr(token) for token in found if not self._is_piece(token)]

    @property
    def size(self) -> int | None:
        return int(self.inner.n_vocab)

    @property
    def special_ids(self) -> Mapping[str, int]:
        return self._special

    @property
    def covers_all(self) -> bool:
        return True

    def component(self, side: Literal["encode", "decode"]) -> str:
        return "pattern (pat_str)" if side == "encode" else "ranks (mergeable_ranks)"

    def _is_piece(self, token: bytes) -> bool:
        try:
            text = token.decode("utf-8")
        except UnicodeDecodeError:
            return False
        return len(self.encode(text)) == 1

    def _ranks(self) -> dict[bytes, int]:
        # A private name, but the one by which tiktoken's README extends an encoding.
        ranks: dict[bytes, int] | None = getattr(self.inner, "_mergeable_ranks", None)
        return self.lacks("ranks that can be listed") if ranks is None else ranks


def _bytes(token: bytes) -> list[bytes]:
    return [token[i : i + 1] for i in range(len(token))]


def _load(path: Path) -> TiktokenSubject:
    import tiktoken  # noqa: PLC0415 - only in a trial

    ranks: dict[bytes, int] = {}
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        token, _, rank = line.strip().partition(b" ")
        if not token:
            continue
        try:
            # Whisper's ranks end with a token of no bytes, written so.
            spelled = b"" if token == b"=" else base64.b64decode(token, validate=True)
            if spelled in ranks:
                raise MalformedError(
                    f"{path.name}:{number}: the token {spelled!r} comes twice; leave one out"
                )
            ranks[spelled] = int(rank)
        except (binascii.Error, ValueError) as error:
            if isinstance(error, MalformedError):
                raise
            raise MalformedError(
                f"{path.name}:{number}: not `TOKEN RANK` with the token in base 64; mend that line"
            ) from error
    return TiktokenSubject(
        tiktoken.Encoding(path.stem, pat_str=_PATTERN, mergeable_ranks=ranks, special_tokens={})
    )


def _reads(path: Path) -> bool:
    if not path.is_file() or path.suffix not in {".tiktoken", ".model"}:
        return False
    with path.open("rb") as stream:
        return path.suffix == ".tiktoken" or _LINE.fullmatch(stream.readline()) is not None


ADAPTER = Adapter(
    kind="tiktoken",
    order=35,
    form="a .tiktoken file of ranks",
    reads=_reads,
    load=_load,
    wraps=lambda thing: of_module(thing, "tiktoken.Encoding"),
    wrap=TiktokenSubject,
)
