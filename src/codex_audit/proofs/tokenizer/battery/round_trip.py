"""Decoding an encoding gives the text back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_audit.proofs.tokenizer.normalization import canonical, explain, explain_most, said
from codex_audit.proofs.tokenizer.proof import (
    Found,
    Measured,
    TokenizerProof,
    Trial,
    broken,
    holds,
    one_line,
)
from codex_audit.proofs.tokenizer.search import shown
from codex_audit.proofs.tokenizer.texts import every_character

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from codex_audit.proofs.tokenizer.subject import Subject


def judge(trial: Trial) -> Found:
    """Every text, alone and between begin and end tokens, up to what is declared."""
    subject = trial.subject
    control = set(subject.special_ids.values())

    def apart(text: str) -> bool:
        # What stands for the unknown says itself that text is lost: `unknown_text` is about it,
        # and `special_text_is_text` about text that becomes control ids.
        ids = set(subject.encode(text))
        return subject.unknown_id in ids or not control.isdisjoint(ids)

    def fails(text: str) -> bool:
        try:
            return not apart(text) and _altered(trial, text) is not None
        except BaseException as error:
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                raise
            return True  # raising on a text loses it

    found = trial.hardest(fails, trial.examples)
    # SentencePiece's own table differs from every version of Unicode.
    if found is None and not trial.domain and "nmt-nfkc" not in trial.normalization:
        altered = next(filter(fails, _characters(apart)), None)
        found = None if altered is None else ([altered], trial.smallest([altered], fails))
    if found is None:
        return _good(trial, sum(map(apart, trial.texts.values())))
    failing, text = found
    among = trial.texts.values()
    count = f"{sum(t in among for t in failing)} of {len(among)} hard texts do not come back"
    if not any(t in among for t in failing):
        count = "a text that was made does not come back"
    measured: Measured = {"compared": len(trial.texts), "failed": len(failing)}
    try:
        pairs = [(each, _became(trial, each)) for each in failing or [text]]
        back = _became(trial, text)
    except BaseException as error:
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        return broken(_raising(trial, text, count), component="vocabulary (or encode)", **measured)
    plain = _plainly(trial, pairs)
    if plain:
        between, component = plain
        return broken(
            f"{count}; shortest: {shown(text)}{between} becomes {shown(back)}",
            component=component,
            **measured,
        )
    named = explain(pairs, trial.normalization)
    fault = f"{count}; "
    if not named:
        part = explain_most(pairs, trial.normalization)

        def beyond(text: str) -> bool:
            kept = [*trial.normalization, *part]
            return fails(text) and canonical(text, kept) != canonical(_became(trial, text), kept)

        text = trial.smallest([each for each, _ in pairs if beyond(each)] or [text], beyond)
        back = _became(trial, text)
        fault += f"beside what {said(part)}, " if part else ""
    fault += f"shortest: {shown(text)} becomes {shown(back)}"
    if named:
        declared = [*trial.normalization, *named]
        names = ", ".join(f'"{name}"' for name in declared if name not in subject.implied)
        exact = canonical(text, named) == back
        does = f"it {said(named)}" if exact else f"explained by what {said(named)}"
        fault += (
            f"; undeclared normalisation: {does}: remove it, or declare normalization = [{names}]"
        )
        measured["normalization"] = ", ".join(named)
    return broken(fault, component=_place(subject, text, back), **measured)


def _plainly(trial: Trial, pairs: list[tuple[str, str]]) -> tuple[str, str] | None:
    """Where to look for what no normalisation would explain, and what is to be said before it."""
    if any(
        _marked(text, back) and trial.counts(text) == trial.counts(back) for text, back in pairs
    ):
        return "", "decoder (Metaspace, or a Replace of U+2581), which leaves U+2581 for a space"
    if all(trial.counts(_back(trial.subject, text)) == trial.counts(text) for text, _ in pairs):
        return " between begin and end tokens", "control tokens, which decode() should leave out"
    return None


def _altered(trial: Trial, text: str) -> str | None:
    """What a text became by itself, or else between begin and end tokens; None if it came back."""
    for special in (False, True):
        back = _back(trial.subject, text, special=special)
        if trial.counts(back) != trial.counts(text) or _marked(text, back):
            return back
    return None


def _marked(text: str, back: str) -> bool:
    """Whether what stands for a space in the vocabulary is still there where a space was."""
    return back.count("\u2581") > text.count("\u2581")


def _became(trial: Trial, text: str) -> str:
    altered = _altered(trial, text)
    return text if altered is None else altered


def _characters(apart: Callable[[str], bool]) -> Iterator[str]:
    """All characters, many in a text; one by one where among many some are not compared."""
    for text in every_character():
        if apart(text):
            yield from (text if text < "\u3000" else "")
        else:
            yield text


def _back(subject: Subject, text: str, *, special: bool = False) -> str:
    return subject.decode(subject.encode(text, special=special))


def _raising(trial: Trial, text: str, count: str) -> str:
    """What is said of a text that raises, or of the first other that does."""
    for each in (text, *trial.texts.values()):
        try:
            _altered(trial, each)
        except BaseException as error:
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                raise
            said_by = f"{type(error).__name__}: {one_line(str(error), 120)}"
            return f"{count}; shortest: {shown(each)} raises {said_by}"
    return f"{count}; shortest: {shown(text)} raises, but not every time"


def _place(subject: Subject, text: str, back: str) -> str:
    """Where the text was lost: what it became has the same ids if encoding lost it."""
    try:
        if subject.encode(text) == subject.encode(back):
            return f"{subject.component('encode')}, on the encode side"
        if _back(subject, back) == back:
            return f"{subject.component('decode')}, on the decode side"
    except Exception:  # noqa: BLE001 - what came back is no text of its own: either may be wrong
        return f"{subject.component('encode')} or {subject.component('decode')}"
    return f"{subject.component('encode')} or {subject.component('decode')}"


def _good(trial: Trial, apart: int) -> Found:
    count = len(trial.texts)
    if apart == count:
        return broken(
            f"all {count} hard texts hold what is unknown, or become control ids: none could be "
            "compared; if it is made for certain texts only, name some with `domain`",
            component="vocabulary",
            compared=0,
        )
    made = trial.beside(trial.examples)
    good = f"{count - apart} hard texts and {made} come back as they were"
    if trial.normalization:
        good += f", up to the declared {', '.join(trial.normalization)}"
    if apart:
        good += f"; {apart} hold what is unknown"
    return holds(good, compared=count - apart, made=trial.examples)


PROOF = TokenizerProof(
    id="round_trip",
    claim="decoding an encoding gives the text back, exactly or up to declared normalisations",
    why="A model trained on altered text learns altered text, and nothing in the loss says so.",
    catches=(
        "transformers 4.44.2: decode drops spaces before punctuation",
        "a normalizer that lower-cases, strips accents, composes or folds compatibility characters",
        "a decoder that loses bytes",
    ),
    remedy=(
        "Remove the normalizer or decoder step that changes text, or declare it with "
        "`normalization` under [tool.codex-audit.tokenizer]."
    ),
    judge=judge,
    of_any=True,
)
