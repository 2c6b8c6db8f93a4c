"""Writes the mutants against the proofs into docs/tokenizer-proofs.md.

Every proof is tried on every mutant and every good tokenizer: some minutes.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests"))

from codex_audit.outcome import Verdict  # noqa: E402
from codex_audit.proofs.tokenizer.proof import battery  # noqa: E402
from mutants.tokenizer import elsewhere  # noqa: E402
from mutants.tokenizer.all import MUTANTS  # noqa: E402
from mutants.tokenizer.bench import tried  # noqa: E402
from mutants.tokenizer.good_styles import GOOD  # noqa: E402

PAGE = ROOT / "docs" / "tokenizer-proofs.md"
_BAD = {Verdict.FAIL, Verdict.ERROR}


def rows() -> list[str]:
    """The table's lines: a mutant each, then the good tokenizers."""
    lines = [
        "| mutant | meant for | caught by it | also fails | seen in |",
        "|---|---|---|---|---|",
    ]
    for name, mutant in MUTANTS.items():
        checks = tried(
            mutant.make(),
            normalization=mutant.normalization,
            other=None if mutant.other is None else mutant.other(),
            **elsewhere.told(name),
        )
        bad = [check.id for check in checks.values() if check.verdict in _BAD]
        also = ", ".join(f"`{proof}`" for proof in bad if proof != mutant.proof)
        caught = "yes" if mutant.proof in bad else "NO"
        lines.append(f"| {mutant.what} | `{mutant.proof}` | {caught} | {also} | {mutant.seen} |")
    lines += [
        "",
        "| good tokenizer | declared | passed | skipped | failed |",
        "|---|---|---|---|---|",
    ]
    for name, good in GOOD.items():
        verdicts = [
            c.verdict for c in tried(good.make(), normalization=good.normalization).values()
        ]
        passed, skipped = verdicts.count(Verdict.PASS), verdicts.count(Verdict.SKIP)
        failed = len(verdicts) - passed - skipped
        declared = ", ".join(good.normalization)
        lines.append(f"| {name} | {declared} | {passed} | {skipped} | {failed} |")
    return lines


def proofs() -> list[str]:
    """A row for each proof."""
    lines = ["| proof | claim | written for |", "|---|---|---|"]
    lines += [
        f"| `{proof.id}` | {proof.claim} | {'; '.join(proof.catches)} |"
        for proof in battery().values()
    ]
    return lines


def put(text: str, mark: str, lines: list[str]) -> str:
    """The page with `lines` between the two marks."""
    begin, end = f"<!-- {mark}: begin -->", f"<!-- {mark}: end -->"
    head, _, rest = text.partition(begin)
    _, _, tail = rest.partition(end)
    return head + "\n".join([begin, "", *lines, "", end]) + tail


def main() -> None:
    """Put both tables into the page."""
    count = f"{len(MUTANTS)} mutants, {len(GOOD)} good tokenizers, {len(battery())} proofs."
    mutants = [count, "", *rows()]
    text = put(PAGE.read_text(encoding="utf-8"), "proofs", proofs())
    PAGE.write_text(put(text, "mutants", mutants), encoding="utf-8")


if __name__ == "__main__":
    main()
