"""What a tokenizer offers to the proofs; `docs/tokenizer-proofs.md` is the page about it.

Adapters extend `Subject`. What a subject lacks raises `LacksError`, and the proofs that need it
are skipped with that reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NoReturn

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

Side = Literal["left", "right"]


class LacksError(Exception):
    """The subject does not offer what a proof asks of it; the text says what."""


class WrongFormError(TypeError):
    """A method of the subject gave what is no text, no ids or no rows; the text says what."""


class MalformedError(ValueError):
    """A file, directory or factory that gives no tokenizer; one line with the remedy."""


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """How a batch is asked for: rows as long as the longest, or `length`, cut to `max_length`.

    A side that is None is not asked for: it is the subject's own.
    """

    length: int | None = None
    max_length: int | None = None
    padding_side: Side | None = "right"
    truncation_side: Side | None = "right"


class Rows(msgspec.Struct, frozen=True):
    """A padded batch: ids, 1 for a token and 0 for padding, and 1 for a special token if told."""

    ids: list[list[int]]
    mask: list[list[int]]
    special: list[list[int]] | None = None


class Span(msgspec.Struct, frozen=True):
    """A token and the characters of the text that it stands for."""

    id: int
    start: int
    end: int


class Subject:
    """A tokenizer on trial.

    Attributes:
        kind: the adapter's name.
        inner: the object itself, which is pickled; None where there is none.
        implied: normalisations that the format itself brings, whatever the model.
        libraries: distributions whose versions belong into the report.
    """

    kind = ""
    inner: Any = None
    implied: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()

    def around(self, inner: Any) -> Subject:
        """A subject like this one around another object of its type."""
        return type(self)(inner)  # type: ignore[call-arg]  # adapters take the object

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        """The ids of a text of a user; `special` puts begin and end tokens around them."""
        raise NotImplementedError

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, control tokens left out."""
        raise NotImplementedError

    def encode_batch(self, texts: Sequence[str], *, special: bool = False) -> list[list[int]]:
        """The ids of several texts, as the library encodes many, without padding."""
        del texts, special
        self.lacks("batches")

    def decode_batch(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """The texts of several rows."""
        del rows
        self.lacks("decoding of batches")

    def padded(self, texts: Sequence[str], layout: Layout) -> Rows:
        """A padded batch, begin and end tokens included."""
        del texts, layout
        self.lacks("padded batches")

    def changed_argument(self, texts: Sequence[str]) -> str:
        """The call that changes the list it is given; empty where none does."""
        del texts
        return ""

    def encode_added(self, text: str) -> list[int]:
        """The ids of a text in which added tokens that are text are looked for."""
        return self.encode(text)

    def offsets(self, text: str) -> list[Span]:
        """The tokens of `encode(text)` with their places in the text."""
        del text
        self.lacks("offsets")

    def save(self, directory: Path) -> None:
        """Write all of it into an empty directory."""
        del directory
        self.lacks("saving")

    def load(self, directory: Path) -> Subject:
        """Another one, from what `save` wrote."""
        del directory
        self.lacks("loading")

    def state(self) -> str:
        """Its serialised form."""
        self.lacks("a serialised form")

    def train(self, texts: Sequence[str]) -> Subject:
        """Another one, trained on texts."""
        del texts
        self.lacks("training")

    def stream(self, ids: Sequence[int]) -> Iterator[str]:
        """What a user is shown as ids arrive one by one."""
        del ids
        self.lacks("a streaming decoder of its own")

    def vocabulary(self) -> list[tuple[str | bytes, int]]:
        """Every token with its id; twice what its file holds twice."""
        self.lacks("a vocabulary that can be listed")

    def unreachable_merges(self, limit: int) -> tuple[int, list[str]]:
        """How many merged tokens, about `limit` at most, were tried, and which no text reaches."""
        del limit
        self.lacks("merges")

    def unmade_tokens(self) -> list[str]:
        """Tokens of several symbols that no merge makes, where merges make tokens."""
        return []

    def normalize(self, text: str) -> str:
        """What the subject declares that a text becomes."""
        del text
        self.lacks("a normalisation of its own")

    @property
    def domain(self) -> Sequence[str]:
        """Texts that it is made for, where that is not all text."""
        return ()

    @property
    def cuts_to(self) -> int | None:
        """To how many ids its file has every text cut; `encode` here does not."""
        return None

    @property
    def size(self) -> int | None:
        """All ids are smaller; None where it is not told."""
        return None

    @property
    def special_ids(self) -> Mapping[str, int]:
        """Control token -> id."""
        return {}

    @property
    def added(self) -> Sequence[str]:
        """Tokens beside the model that are ordinary text."""
        return ()

    @property
    def pad_id(self) -> int | None:
        """The id of padding."""
        return None

    @property
    def unknown_id(self) -> int | None:
        """The id that stands for what the vocabulary cannot spell."""
        return None

    @property
    def covers_all(self) -> bool:
        """Whether it claims that its vocabulary spells every text, byte by byte."""
        return False

    def component(self, side: Literal["encode", "decode"]) -> str:
        """The parts of it that can change a text on that side, for messages."""
        return {"encode": "normalizer or pre-tokenizer", "decode": "decoder"}[side]

    def lacks(self, what: str) -> NoReturn:
        """Raise that the subject does not offer `what`."""
        raise LacksError(f"the subject offers no {what}" if what[:2] != "a " else f"no {what[2:]}")


def is_of_tiktoken(error: Exception) -> bool:
    """Whether tiktoken refuses a text since it spells a special token, which is its default."""
    return isinstance(error, ValueError) and "disallowed_special=()" in str(error)


def refuses_special(subject: Subject, text: str, error: Exception) -> bool:
    """Whether a text raised only for the special token that it spells."""
    if is_of_tiktoken(error):
        return True
    spelled = [token for token in subject.special_ids if token and token in text]
    for token in spelled:
        text = text.replace(token, "")
    try:
        subject.encode(text)
    except Exception:  # noqa: BLE001 - then it raises on what is left as well
        return False
    return bool(spelled)


def is_refused(subject: Subject, text: str) -> bool:
    """Whether a text is refused for the special token in it: that is no fault, and no trial."""
    try:
        subject.encode(text)
    except (KeyboardInterrupt, SystemExit):
        raise
    except Exception as error:  # noqa: BLE001 - other proofs judge what raises
        return refuses_special(subject, text, error)
    except BaseException:  # noqa: BLE001 - a panic of a compiled library
        return False
    return False
