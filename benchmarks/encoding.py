"""Batch encoding by the kit's adapter beside the bare call of `tokenizers`, in one run.

    python benchmarks/encoding.py [--texts 2000] [--rounds 15]

Both get the same texts and give the same padded ids and masks as lists; the rounds alternate,
and the median of the rounds' ratios is what counts: a slow moment of the machine hits both.
"""

from __future__ import annotations

import argparse
import statistics
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from codex_ml.tokenization import PAD, HuggingFaceTokenizer

if TYPE_CHECKING:
    from collections.abc import Callable

Rows = tuple[list[list[int]], list[list[int]]]


def corpus(texts: int) -> list[str]:
    """Lines of this repository's own prose and code, repeated to as many as asked for."""
    root = Path(__file__).resolve().parents[1]
    files = [root / "README.md", *sorted((root / "src" / "codex_ml").rglob("*.py"))]
    paragraphs = [part for file in files for part in file.read_text().split("\n\n") if part.strip()]
    return [paragraphs[number % len(paragraphs)] for number in range(texts)]


def measured(call: Callable[[], Rows]) -> float:
    """Seconds of one call."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    texts = corpus(options.texts)
    tokenizer = HuggingFaceTokenizer.train(texts, vocab_size=4000)
    bare = type(tokenizer.inner).from_str(tokenizer.inner.to_str())
    bare.encode_special_tokens = True

    def kit(max_length: int | None) -> Rows:
        batch = tokenizer.encode_batch(texts, max_length=max_length)
        return batch.ids, batch.mask

    def direct(call: str, max_length: int | None) -> Rows:
        bare.enable_padding(pad_id=tokenizer.pad_id, pad_token=PAD)
        if max_length is not None:
            bare.enable_truncation(max_length)
        encoded = getattr(bare, call)(texts)
        bare.no_truncation()
        return [row.ids for row in encoded], [row.attention_mask for row in encoded]

    print(f"{len(texts)} texts, {sum(map(len, texts)) / 1e6:.2f} million characters")
    print("| rows | bare call | its ms | `codex_ml`, ms | ratio |")
    print("|---|---|---|---|---|")
    for rows, length in (("padded to the longest", None), ("cut and padded to 64", 64)):
        for name in ("encode_batch", "encode_batch_fast"):
            if kit(length) != direct(name, length):  # also warms both up
                raise SystemExit(f"{name}, {rows}: the two do not agree")
            pairs = [
                (measured(partial(direct, name, length)), measured(partial(kit, length)))
                for _ in range(options.rounds)
            ]
            theirs, ours = (statistics.median(times) * 1000 for times in zip(*pairs, strict=True))
            ratio = statistics.median(own / other for other, own in pairs)
            print(f"| {rows} | `{name}` | {theirs:.1f} | {ours:.1f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
