"""Score the static audit against labels made by hand.

    python benchmarks/accuracy/score.py --labels benchmarks/accuracy/labels --checkouts DIR

`DIR/<name>` is a checkout of the repository that `<name>.toml` names, at its commit. Prints
precision, recall and F1 by repository, capability and criterion; `?` labels are left out. With
`--write`, the figures of each criterion go into the package, where `codex-audit explain` shows them
and a precision under 0.9 makes a criterion experimental.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections import Counter
from pathlib import Path

import msgspec

from codex_audit.capabilities.accuracy import FILENAME, Accuracy, Figures
from codex_audit.records import Answer, Scan
from codex_audit.scan import scan
from codex_audit.settings import load_settings

FIGURES = Path(__file__).parents[2] / "src" / "codex_audit" / "capabilities" / FILENAME


def outcomes(
    labels: dict[str, dict[str, dict[str, str]]], found: Scan
) -> dict[tuple[str, str], str]:
    """`tp`, `fp`, `fn` or `tn` for each labelled criterion that is no coin-flip."""
    judged = {}
    for capability, criteria in labels.items():
        for criterion, label in criteria.items():
            if label["a"] == "?":
                continue
            answered = found.capabilities[capability].criteria[criterion].answer
            kinds = {(True, True): "tp", (True, False): "fn", (False, True): "fp"}
            key = (label["a"] == "y", answered is Answer.MET)
            judged[capability, criterion] = kinds.get(key, "tn")
    return judged


def line(name: str, count: Counter[str]) -> str:
    """One line of the table."""
    right, wrong, missed = count["tp"], count["fp"], count["fn"]
    precision = right / (right + wrong) if right + wrong else 1.0
    recall = right / (right + missed) if right + missed else 1.0
    f1 = 2 * right / (2 * right + wrong + missed) if right + wrong + missed else 1.0
    doubt = "  experimental" if Figures(**count).experimental else ""
    return (
        f"{name:44} precision {precision:.3f}  recall {recall:.3f}  F1 {f1:.3f}"
        f"  (tp {right} fp {wrong} fn {missed} tn {count['tn']}){doubt}"
    )


def write(path: Path, repositories: list[str], table: dict[str, Counter[str]]) -> None:
    """Write the figures of each criterion, one a line, in a stable order."""
    criteria = {key: Figures(**count) for key, count in sorted(table.items())}
    accuracy = Accuracy(tuple(sorted(repositories)), criteria)
    lines = [
        f'    "{key}": {msgspec.json.encode(figures).decode()}'
        for key, figures in accuracy.criteria.items()
    ]
    names = msgspec.json.encode(accuracy.repositories).decode()
    body = ",\n".join(lines)
    path.write_text(f'{{\n  "repositories": {names},\n  "criteria": {{\n{body}\n  }}\n}}\n')


def main() -> int:
    """Print the table; 2 when a checkout is missing or at another commit."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--checkouts", type=Path, required=True)
    parser.add_argument("--errors", action="store_true", help="list each wrong answer")
    parser.add_argument("--write", action="store_true", help=f"write {FILENAME} into the package")
    options = parser.parse_args()
    by_repository: dict[str, Counter[str]] = {}
    by_capability: dict[str, Counter[str]] = {}
    by_criterion: dict[str, Counter[str]] = {}
    wrong = []
    for file in sorted(options.labels.glob("*.toml")):
        data = tomllib.loads(file.read_text(encoding="utf-8"))
        checkout = options.checkouts / file.stem
        if not checkout.is_dir():
            print(f"{checkout}: no checkout of {data['repo']}; clone it there", file=sys.stderr)
            return 2
        found = scan(checkout, load_settings(checkout))
        if found.provenance.commit != data["commit"]:
            print(
                f"{checkout}: at {found.provenance.commit}, labelled at {data['commit']}",
                file=sys.stderr,
            )
            return 2
        labels = {key: value for key, value in data.items() if isinstance(value, dict)}
        for (capability, criterion), kind in outcomes(labels, found).items():
            for table, name in (
                (by_repository, file.stem),
                (by_capability, capability),
                (by_criterion, f"{capability}.{criterion}"),
            ):
                table.setdefault(name, Counter())[kind] += 1
            if kind in {"fp", "fn"}:
                wrong.append(f"{kind} {file.stem} {capability}.{criterion}")
    for table in (by_criterion, by_capability, by_repository):
        print("\n".join(line(name, count) for name, count in sorted(table.items())), end="\n\n")
    print(line("all", sum(by_repository.values(), Counter())))
    if options.write:
        write(FIGURES, list(by_repository), by_criterion)
    if options.errors:
        print("\n".join(sorted(wrong)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
