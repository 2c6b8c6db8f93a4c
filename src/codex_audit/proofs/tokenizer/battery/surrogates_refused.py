"""Lone surrogates are no text: refused clearly, or visibly replaced."""

from __future__ import annotations

from codex_audit.proofs.tokenizer.proof import Found, TokenizerProof, Trial, broken, holds, one_line
from codex_audit.proofs.tokenizer.search import shown

_TEXTS = ("\ud800", "a\udc00b", "\ude00\ud83d", "\udfff after")
# The last is how sentencepiece says it.
_CLEAR = (ValueError, TypeError, RuntimeError)


def judge(trial: Trial) -> Found:
    """What each becomes, and whether the tokenizer still works afterwards."""
    subject = trial.subject
    before = subject.encode(trial.plain)
    clear = (*_CLEAR, LookupError) if trial.domain else _CLEAR
    told: set[str] = set()
    for text in _TEXTS:
        try:
            ids = subject.encode(text)
        except clear as error:
            told.add(f"refused ({type(error).__name__}: {one_line(str(error), 60)})")
            continue
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - a panic is no `Exception`
            return broken(
                f"{shown(text)} is not refused clearly: {type(error).__name__}: "
                f"{one_line(str(error), 100)}",
                component="check of the input text (surrogates) before encoding",
            )
        back = subject.decode(ids)
        if back == text:
            told.add("kept as they are")
        elif "\ufffd" in back or (subject.unknown_id is not None and subject.unknown_id in ids):
            told.add("replaced by U+FFFD or the unknown token")
        else:
            return broken(
                f"{shown(text)} is neither refused nor marked: it becomes {shown(back)}",
                component="check of the input text (surrogates) before encoding",
            )
    if subject.encode(trial.plain) != before:
        return broken(
            "after a lone surrogate another text has other ids",
            component="state that a refused call leaves behind",
        )
    return holds(f"lone surrogates are {' or '.join(sorted(told))}", compared=len(_TEXTS))


PROOF = TokenizerProof(
    id="surrogates_refused",
    claim="a lone surrogate is refused with an error, kept, or visibly replaced; never dropped",
    why="Broken text from a bad decoder should stop a pipeline, not shrink its data.",
    catches=("surrogates dropped by errors='ignore'", "a panic of a compiled library"),
    remedy="Refuse text that cannot be encoded as UTF-8, with ValueError.",
    judge=judge,
)
