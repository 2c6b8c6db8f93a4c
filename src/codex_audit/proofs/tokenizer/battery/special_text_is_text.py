"""Text of a user that looks like a special token is text."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from codex_audit.proofs.tokenizer.proof import Found, TokenizerProof, Trial, broken, holds
from codex_audit.proofs.tokenizer.search import shown
from codex_audit.proofs.tokenizer.subject import LacksError, refuses_special

if TYPE_CHECKING:
    from collections.abc import Callable


def judge(trial: Trial) -> Found:
    """Each special token's spelling, alone and amid text, and all texts besides."""
    subject = trial.subject
    # What stands for the unknown is meant to stand for text.
    special = {n: t for t, n in subject.special_ids.items() if n != subject.unknown_id}
    if not special:
        raise LacksError("the tokenizer declares no special tokens")

    words = [token for token in special.values() if token.strip().isalnum()]
    if words:
        return broken(
            f"the special token {words[0]!r} is an ordinary word: where special tokens are looked "
            "for in text, that word is lost",
            component="choice of special tokens",
        )

    def control(ids: list[int]) -> Counter[int]:
        return Counter(number for number in ids if number in special)

    refused: set[str] = set()
    frame = control(subject.encode("", special=True))

    def met(text: str) -> str:
        """The calls that make control ids of a text, and which."""
        calls: dict[str, Callable[[], list[int]]] = {
            "encode": lambda: subject.encode(text),
            "encode with begin and end": lambda: subject.encode(text, special=True),
            "encode_batch": lambda: subject.encode_batch([text])[0],
        }
        for name, call in calls.items():
            try:
                ids = call()
            except LacksError:
                continue
            except Exception as error:
                # Such a text may be outside of a domain.
                if trial.domain:
                    continue
                if refuses_special(subject, text, error):
                    refused.add(text)
                    continue
                raise
            extra = control(ids) - (frame if "begin" in name else Counter())
            if extra:
                number = next(iter(extra))
                return f"encoded with {special[number]!r}, id {number} ({name})"
        return ""

    def meets(text: str) -> bool:
        return bool(met(text))

    made = [
        before + token + after
        for token in subject.special_ids
        for before, after in (("", ""), ("a", "b"), ("a ", " b"), ("\n", "\n"), (token, ""))
    ]
    found = trial.hardest(meets, trial.examples // 2, [*made, *trial.texts.values()])
    if found is None:
        besides = f"; {len(refused)} of them are refused" if refused else ""
        return holds(
            f"{len(made)} texts that hold special tokens, and {len(trial.texts)} others, are text"
            f"{besides}",
            compared=len(made) + len(trial.texts),
        )
    failing, text = found
    return broken(
        f"the text {shown(text)} is {met(text)}",
        component="matching of added tokens in user text (special tokens)",
        failed=len(failing),
    )


PROOF = TokenizerProof(
    id="special_text_is_text",
    claim="special tokens in a user's text are not turned into control ids",
    why="Who can write an end or a role token into a prompt can forge the conversation.",
    catches=("encode() that parses <|endoftext|> in user input", "a letter with a control id"),
    remedy="Encode user text with special tokens off (encode_special_tokens, split_special_tokens, "
    "encode_ordinary), and add control ids yourself.",
    judge=judge,
)
