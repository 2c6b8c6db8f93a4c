"""How many tokens a script costs, and how fast they come: measured, never judged."""

from __future__ import annotations

import time

from codex_audit.proofs.tokenizer.proof import Found, Measured, TokenizerProof, Trial, holds
from codex_audit.proofs.tokenizer.texts import SCRIPTS


def judge(trial: Trial) -> Found:
    """Tokens a word and bytes a token of a sentence in each script; throughput over all."""
    subject = trial.subject
    measured: Measured = {}
    told = []
    samples = {script: [text] for script, text in SCRIPTS.items()}
    if trial.domain:
        samples = {"the domain": list(trial.texts.values())}
    for script, texts in samples.items():
        count = sum(len(subject.encode(text)) for text in texts)
        words = sum(len(text.split()) if " " in text else 0 for text in texts)
        size = sum(len(text.encode()) for text in texts)
        per_byte = size / count if count else 0.0
        measured[f"{script}: bytes per token"] = round(per_byte, 2)
        if words > 1:
            measured[f"{script}: tokens per word"] = round(count / words, 2)
        told.append(f"{script} {per_byte:.1f}")
    everything = "\n".join(SCRIPTS.values()) if not trial.domain else max(trial.domain, key=len)
    repeats, start = 20, time.perf_counter()
    for _ in range(repeats):
        subject.encode(everything)
    seconds = max(time.perf_counter() - start, 1e-9)
    rate = repeats * len(everything.encode()) / seconds / 2**20
    measured["MiB per second"] = round(rate, 2)
    return holds(f"{rate:.1f} MiB/s; bytes per token: {', '.join(told)}", **measured)


PROOF = TokenizerProof(
    id="fertility",
    claim="what each script costs in tokens, and how fast they come, is measured",
    why="A script that takes three times the tokens costs three times the compute and context.",
    catches=(),
    remedy="Nothing fails here; train on the scripts that you will read.",
    judge=judge,
)
