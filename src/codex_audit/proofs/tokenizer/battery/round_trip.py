"""Decoding an encoding gives the text back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from codex_audit.proofs.tokenizer.normalization import canonical, explain, said
from codex_audit.proofs.tokenizer.proof import Found, Measured, TokenizerProof, Trial, broken, holds
from codex_audit.proofs.tokenizer.search import hardest, shown, smallest
from codex_audit.proofs.tokenizer.subject import LacksError, Subject
from codex_audit.proofs.tokenizer.texts import every_character

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def judge(trial: Trial) -> Found:
    """Every text, alone and between begin and end tokens, up to what is declared."""
    subject, declared = trial.subject, trial.normalization
    expected = _expected(trial)

    def unknown(text: str) -> bool:
        # What stands for the unknown says itself that text is lost: `unknown_text` is about it.
        return subject.unknown_id is not None and subject.unknown_id in subject.encode(text)

    def fails(text: str) -> bool:
        try:
            if unknown(text):
                return False
            return any(
                expected(_back(subject, text, special=special)) != expected(text)
                for special in (True, False)
            )
        except BaseException as error:
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                raise
            return True  # raising on a text loses it

    found = hardest(trial.texts.values(), fails, trial.examples)
    # SentencePiece's own table differs from every version of Unicode.
    if found is None and "nmt-nfkc" not in declared:
        altered = next(filter(fails, _characters(unknown)), None)
        found = None if altered is None else ([altered], smallest([altered], fails))
    if found is None:
        return _good(trial, sum(map(unknown, trial.texts.values())))
    failing, text = found
    among = trial.texts.values()
    count = f"{sum(t in among for t in failing)} of {len(among)} hard texts do not come back"
    if not any(t in among for t in failing):
        count = "a text that was made does not come back"
    measured: Measured = {"compared": len(trial.texts), "failed": len(failing)}
    try:
        back = subject.decode(subject.encode(text))
        if expected(back) == expected(text):
            back = _back(subject, text, special=True)
    except BaseException as error:
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        return broken(
            f"{count}; shortest: {shown(text)} raises {type(error).__name__}: "
            f"{' '.join(str(error).split())[:120]}",
            component="vocabulary (or encode)",
            **measured,
        )
    named, unexplained = _named(trial, failing or [text])
    if unexplained is not None and not named:
        lost = [each for each in failing if each in unexplained] or [text]
        text = smallest([text, *lost], fails)
        back = subject.decode(subject.encode(text))
    side = _side(subject, text, back)
    fault = f"{count}; shortest: {shown(text)} becomes {shown(back)}"
    if named:
        names = ", ".join(
            f'"{name}"' for name in (*declared, *named) if name not in subject.implied
        )
        exact = canonical(text, named) == back
        does = f"it {said(named)}" if exact else f"explained by what {said(named)}"
        fault += (
            f"; undeclared normalisation: {does}: remove it, or declare normalization = [{names}]"
        )
        measured["normalization"] = ", ".join(named)
    return broken(fault, component=f"{subject.component(side)}, on the {side} side", **measured)


def _expected(trial: Trial) -> Callable[[str], str]:
    """What counts of a text: all of it, or what declared normalisations leave."""
    try:
        trial.subject.normalize("")
    except LacksError:
        return lambda text: canonical(text, trial.normalization)
    return lambda text: canonical(trial.subject.normalize(text), trial.normalization)


def _characters(unknown: Callable[[str], bool]) -> Iterator[str]:
    """All characters, many in a text; one by one where among many some are unknown."""
    for text in every_character():
        if unknown(text):
            yield from (text if text < "\u3000" else "")
        else:
            yield text


def _back(subject: Subject, text: str, *, special: bool) -> str:
    return subject.decode(subject.encode(text, special=special))


def _named(trial: Trial, texts: list[str]) -> tuple[tuple[str, ...], set[str] | None]:
    """The normalisations that explain all the failing texts; or those texts that none explains."""
    pairs = []
    for text in texts:
        try:
            pairs.append((text, _back(trial.subject, text, special=False)))
        except BaseException as error:
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                raise
            return (), {text}
    named = explain(pairs, trial.normalization)
    if named:
        return named, None
    return (), {text for text, back in pairs if not explain([(text, back)], trial.normalization)}


def _side(subject: Subject, text: str, back: str) -> Literal["encode", "decode"]:
    """Where the text was lost: what it became has the same ids if encoding lost it."""
    return "encode" if subject.encode(text) == subject.encode(back) else "decode"


def _good(trial: Trial, unknown: int) -> Found:
    count = len(trial.texts)
    if unknown == count:
        return broken(
            f"all {count} hard texts hold what is unknown: none could be compared",
            component="vocabulary",
            compared=0,
        )
    good = f"{count - unknown} hard texts and {trial.examples} of Hypothesis come back as they were"
    if trial.normalization:
        good += f", up to the declared {', '.join(trial.normalization)}"
    if unknown:
        good += f"; {unknown} hold what is unknown"
    return holds(good, compared=count - unknown, made=trial.examples)


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
)
