"""The checks of one tokenizer in one process; each names the shortest text that fails."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Protocol

from codex_audit.outcome import Check, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path


class Batch(Protocol):
    """Padded rows and their masks."""

    @property
    def ids(self) -> list[list[int]]:
        """One row a text."""
        ...

    @property
    def mask(self) -> list[list[int]]:
        """1 for a token, 0 for padding."""
        ...


class Tokenizer(Protocol):
    """What a check asks of the tokenizer on trial."""

    @property
    def pad_id(self) -> int:
        """The id of padding."""
        ...

    def encode(self, text: str, *, special: bool = True) -> list[int]:
        """Text to ids."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Ids to text, without special tokens."""
        ...

    def encode_batch(
        self, texts: Sequence[str], *, max_length: int | None = None, pad_to: int | None = None
    ) -> Batch:
        """Texts to padded rows."""
        ...

    def save(self, path: Path) -> str:
        """Write it, and return the hash of what was written."""
        ...


def round_trip(tokenizer: Tokenizer, texts: Mapping[str, str]) -> Check:
    """Decoding an encoding gives the text back, with special tokens and without."""

    def fails(text: str) -> bool:
        return any(
            tokenizer.decode(tokenizer.encode(text, special=special)) != text
            for special in (True, False)
        )

    failing = {name: text for name, text in texts.items() if fails(text)}
    if not failing:
        return _check(
            "round_trip", "", f"{len(texts)} hard texts come back as they were", len(texts)
        )
    text = shortest(failing.values(), fails)
    back = tokenizer.decode(tokenizer.encode(text))
    fault = (
        f"{len(failing)} of {len(texts)} hard texts do not come back; shortest: {shown(text)} "
        f"becomes {shown(back)}; first of them: {next(iter(failing))}"
    )
    return _check("round_trip", fault, "", len(texts), failed=len(failing))


def batch_equals_single(tokenizer: Tokenizer, texts: Mapping[str, str]) -> Check:
    """A text has the same ids in a batch, padding aside, as alone."""
    rows = _unpadded(tokenizer.encode_batch(list(texts.values())))
    pairs = zip(texts.values(), rows, strict=True)
    failing = [(text, row) for text, row in pairs if row != tokenizer.encode(text)]
    good = f"{len(texts)} texts have the same ids in one batch as alone"
    if not failing:
        return _check("batch_equals_single", "", good, len(texts))
    text, row = min(failing, key=lambda pair: len(pair[0]))
    fault = (
        f"{len(failing)} texts have other ids in a batch than alone; shortest: {shown(text)} is "
        f"{row} in a batch and {tokenizer.encode(text)} alone"
    )
    return _check("batch_equals_single", fault, "", len(texts), failed=len(failing))


def padding(tokenizer: Tokenizer, texts: Mapping[str, str]) -> Check:
    """Rows are filled with the padding id where the mask is 0, to the longest and to a length."""
    values = list(texts.values())
    singles = [tokenizer.encode(text) for text in values]
    longest = max(map(len, singles))
    fault = _padding_fault(tokenizer.encode_batch(values), values, longest, tokenizer.pad_id)
    if not fault:
        wide = tokenizer.encode_batch(values, pad_to=longest + 3)
        fault = _padding_fault(wide, values, longest + 3, tokenizer.pad_id)
    if not fault:
        cut = max(4, longest // 2)
        narrow = tokenizer.encode_batch(values, max_length=cut, pad_to=cut)
        fault = _padding_fault(narrow, values, cut, tokenizer.pad_id)
    good = f"rows of {longest}, {longest + 3} and, cut, {max(4, longest // 2)} ids are filled with "
    return _check("padding", fault, f"{good}id {tokenizer.pad_id} where the mask is 0", len(texts))


def _padding_fault(batch: Batch, texts: list[str], length: int, pad_id: int) -> str:
    for text, ids, mask in sorted(
        zip(texts, batch.ids, batch.mask, strict=True), key=lambda row: len(row[0])
    ):
        if len(ids) != length or len(mask) != length:
            return (
                f"the row of {shown(text)} has {len(ids)} ids and {len(mask)} masks, not {length}"
            )
        for place, (token, kept) in enumerate(zip(ids, mask, strict=True)):
            if not kept and token != pad_id:
                return f"{shown(text)}: place {place} is masked and holds id {token}, not {pad_id}"
            if kept and token == pad_id:
                return f"{shown(text)}: place {place} is a token and has the padding id {pad_id}"
    return ""


def special_ids_distinct(
    tokenizer: Tokenizer, texts: Mapping[str, str], document: Mapping[str, Any]
) -> Check:
    """No two special tokens share an id, and no text is encoded as one.

    `document` is the tokenizer's own JSON, which still holds what loading it hides.
    """
    owners: dict[int, set[str]] = defaultdict(set)
    special: dict[int, str] = {}
    for token in document.get("added_tokens", ()):
        owners[token["id"]].add(token["content"])
        if token.get("special"):
            special[token["id"]] = token["content"]
    settings = document.get("padding") or {}
    if "pad_id" in settings:
        owners[settings["pad_id"]].add(settings["pad_token"])
        special.setdefault(settings["pad_id"], settings["pad_token"])
    vocabulary = document.get("model", {}).get("vocab", {})
    if isinstance(vocabulary, dict):
        for token, number in vocabulary.items():
            owners[number].add(token)
    shared = [(number, sorted(owners[number])) for number in special if len(owners[number]) > 1]
    fault = ""
    if shared:
        number, holders = shared[0]
        fault = f"id {number} belongs to {' and '.join(map(repr, holders))}"
    elif not special:
        return _skip("special_ids_distinct", "the tokenizer declares no special tokens")
    else:
        # What is unknown is meant to stand in for text; that it loses it is the round trip's.
        unknown = document.get("model", {}).get("unk_token")
        reserved = {number: token for number, token in special.items() if token != unknown}
        found = _special_in_text(tokenizer, texts, reserved)
        if found is not None:
            text, number = found
            fault = f"the text {shown(text)} is encoded with {special[number]!r}, id {number}"
    names = ", ".join(f"{token}={number}" for number, token in sorted(special.items()))
    return _check(
        "special_ids_distinct", fault, f"{names}; no text is encoded as one", len(special)
    )


def _special_in_text(
    tokenizer: Tokenizer, texts: Mapping[str, str], special: Mapping[int, str]
) -> tuple[str, int] | None:
    def meets(text: str) -> bool:
        return any(token in special for token in tokenizer.encode(text, special=False))

    failing = [text for text in texts.values() if meets(text)]
    if not failing:
        return None
    text = shortest(failing, meets)
    ids = tokenizer.encode(text, special=False)
    return text, next(token for token in ids if token in special)


def save_load(
    tokenizer: Tokenizer,
    texts: Mapping[str, str],
    path: Path,
    load: Callable[[Path], Tokenizer],
) -> Check:
    """What was saved and loaded gives the same ids, and is saved as the same bytes again."""
    digest = tokenizer.save(path)
    loaded = load(path)
    failing = [text for text in texts.values() if loaded.encode(text) != tokenizer.encode(text)]
    again = loaded.save(path.with_suffix(".again.json"))
    fault = ""
    if failing:
        text = min(failing, key=len)
        fault = (
            f"{len(failing)} texts have other ids after saving and loading; shortest: "
            f"{shown(text)} was {tokenizer.encode(text)} and is {loaded.encode(text)}"
        )
    elif digest != again:
        fault = f"saved twice, the files differ: SHA-256 {digest[:12]} and {again[:12]}"
    good = f"saved and loaded, {len(texts)} texts have the same ids; SHA-256 {digest[:12]}"
    return _check("save_load", fault, good, len(texts))


def new_process_same_ids(
    texts: Mapping[str, str], here: Mapping[str, list[int]], there: Mapping[str, list[int]]
) -> Check:
    """Two processes with different hash seeds give the same ids."""
    failing = [name for name in texts if here[name] != there[name]]
    fault = ""
    if failing:
        name = min(failing, key=lambda name: len(texts[name]))
        fault = (
            f"{len(failing)} texts have other ids in a new process; shortest: "
            f"{shown(texts[name])} is {here[name]} in one and {there[name]} in the other"
        )
    good = f"{len(texts)} texts have the same ids in a process with another hash seed"
    return _check("new_process_same_ids", fault, good, len(texts), failed=len(failing))


def no_padding_token() -> Check:
    """Said instead of the padding check where there is nothing to pad with."""
    return _skip("padding", "the tokenizer declares no padding token")


def shortest(texts: Iterable[str], fails: Callable[[str], bool]) -> str:
    """The shortest piece of any of the failing texts that fails by itself."""
    best = min(texts, key=len)
    for text in texts:
        for length in range(1, len(best)):
            pieces = (text[i : i + length] for i in range(len(text) - length + 1))
            piece = next(filter(fails, pieces), None)
            if piece is not None:
                best = piece
                break
    return best


def shown(text: str) -> str:
    """A text as ASCII, with its code points when they are few enough to read."""
    few = 12
    points = " ".join(f"U+{ord(character):04X}" for character in text[:few])
    more = " ..." if len(text) > few else ""
    return f"{json.dumps(text)} ({points}{more})" if text else '""'


def _unpadded(batch: Batch) -> list[list[int]]:
    return [
        [token for token, kept in zip(ids, mask, strict=True) if kept]
        for ids, mask in zip(batch.ids, batch.mask, strict=True)
    ]


def _check(name: str, fault: str, good: str, count: int, *, failed: int = 0) -> Check:
    verdict = Verdict.FAIL if fault else Verdict.PASS
    return Check(name, verdict, fault or good, measured={"compared": count, "failed": failed})


def _skip(name: str, summary: str) -> Check:
    return Check(name, Verdict.SKIP, summary)
