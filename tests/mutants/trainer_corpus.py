"""The corpus of trainers with one defect each, and of good ones; how one of them is tried.

A mutant is a class in a module of `tests/mutants/trainer` that sets

    CAUGHT_BY: the proof that is meant to catch it;
    NAMES: words that this proof's summary must contain, whatever their case;
    SOURCE: the bug report that it is taken from, or "made up".

A good subject sets GOOD, in a word what it is, and ALSO, the costly proofs that it is a neighbour
to; all that such a class says of a mutant is not
inherited. The class itself is the factory, its first docstring line the defect.

`python tests/mutants/trainer_corpus.py docs/trainer-mutants.md` tries every subject and writes the
table. Proofs that kill dozens of runs are tried on a mutant only if they are meant for it, but
with `--all` on every one.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from codex_audit.outcome import Verdict
from codex_audit.proofs.children import Children
from codex_audit.proofs.nursery import FIRST
from codex_audit.proofs.trainer.smoke import all_proofs, try_subject

if TYPE_CHECKING:
    from collections.abc import Iterable

    from codex_audit.proofs.trainer.tried import Tried

TESTS = Path(__file__).resolve().parents[1]
PACKAGE = "mutants.trainer"
STEPS = 20
TIMEOUT = 3600.0


class Entry(msgspec.Struct, frozen=True):
    """A subject of the corpus; `caught_by` is empty for a good one.

    `also`: costly proofs that a test tries on it too.
    """

    factory: str
    title: str
    caught_by: str = ""
    names: tuple[str, ...] = ()
    source: str = ""
    also: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The class's name."""
        return self.factory.rpartition(":")[2]


def corpus() -> list[Entry]:
    """Every mutant and every good subject, in the order of the modules and of their lines."""
    package = importlib.import_module(PACKAGE)
    found = []
    for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda each: each.name):
        module = importlib.import_module(f"{PACKAGE}.{info.name}")
        for name, thing in vars(module).items():
            if isinstance(thing, type) and thing.__module__ == module.__name__:
                found += _entries(thing, f"{module.__name__}:{name}")
    return found


def _entries(thing: type[Any], factory: str) -> list[Entry]:
    own = vars(thing)
    if "GOOD" in own:
        return [Entry(factory, own["GOOD"], also=own.get("ALSO", ()))]
    if "CAUGHT_BY" not in own:
        return []
    title = (inspect.getdoc(thing) or "").partition("\n")[0].rstrip(".")
    return [Entry(factory, title, own["CAUGHT_BY"], _words(own["NAMES"]), own["SOURCE"])]


def _words(names: str | tuple[str, ...]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else names


def mutants() -> list[Entry]:
    """Those with a defect."""
    return [entry for entry in corpus() if entry.caught_by]


def good_subjects() -> list[Entry]:
    """Those without."""
    return [entry for entry in corpus() if not entry.caught_by]


def children(scratch: Path, limit: int = 2) -> Children:
    """Where the runs of the whole corpus are made."""
    return Children(TESTS, scratch, timeout=TIMEOUT, limit=limit, nurse=True)


def try_entry(where: Children, entry: Entry, proofs: Iterable[str] = ()) -> Tried:
    """Try a subject with the proofs named, or with all."""
    known = all_proofs()
    chosen = {name: known[name] for name in proofs or known}
    return try_subject(where, entry.factory, chosen, steps=STEPS)


COSTLY = frozenset(
    {
        "crash_safe_save",
        "retention",
        "ranks",
        "ranks_equal_large_batch",
        "no_growth",
        "no_network",
    }
)


def proofs_for(entry: Entry, *, every: bool) -> list[str]:
    """The proofs that the table has of a subject."""
    known = all_proofs()
    if every or not entry.caught_by:
        return list(known)
    return [name for name in known if name not in COSTLY or name == entry.caught_by]


_SIGNS = {
    Verdict.PASS: "pass",
    Verdict.FAIL: "FAIL",
    Verdict.SKIP: ".",
    Verdict.ERROR: "error",
    Verdict.DECLARED_LIMIT: "limit",
}


def table(tried: dict[Entry, Tried]) -> str:
    """The page of mutants against proofs."""
    proofs = list(all_proofs())
    bad = sum(bool(entry.caught_by) for entry in tried)
    lines = [
        "# Mutants of trainers against the proofs",
        "",
        "Each mutant is a careful trainer with one defect. It must be caught by the proof that is",
        "meant for it (in bold), which must name the component. Other proofs may see the same",
        "defect from their side. No proof may fail on a good subject.",
        "A dot: it could not be tried, or was not judged. Nothing: it was left out, as it takes many",
        f"runs. Made by `tests/mutants/{Path(__file__).name}`.",
        "",
        f"{bad} mutants, {len(tried) - bad} good subjects, {len(proofs)} proofs.",
        "",
        "The proofs, by number:",
        "",
        *(f"{number}. `{proof}`" for number, proof in enumerate(proofs, 1)),
        "",
        "| subject | defect | " + " | ".join(str(n) for n in range(1, len(proofs) + 1)) + " |",
        "|---" * (len(proofs) + 2) + "|",
    ]
    sources = ["", "## What the proof meant for it says, and where the defect is from", ""]
    for entry, result in tried.items():
        checks = {check.id: check for check in result.checks}
        missing = "error" if result.failures else ""
        signs = [_SIGNS[checks[p].verdict] if p in checks else missing for p in proofs]
        marked = [
            f"**{sign}**" if proof == entry.caught_by else sign
            for sign, proof in zip(signs, proofs, strict=True)
        ]
        title = entry.title if entry.caught_by else f"none: {entry.title}"
        lines.append(f"| `{entry.name}` | {title} | " + " | ".join(marked) + " |")
        if entry.caught_by and entry.caught_by in checks:
            said = checks[entry.caught_by].summary.replace("|", "\\|").replace("\n", " ")
            sources.append(f"- `{entry.name}` ({entry.source}), `{entry.caught_by}`: {said}")
    return "\n".join([*lines, *sources]) + "\n"


def main() -> None:
    """Try the corpus and write the table to the file named."""
    tried: dict[Entry, Tried] = {}
    with tempfile.TemporaryDirectory() as scratch, children(Path(scratch)) as where:
        where.preload(FIRST)
        for entry in corpus():
            tried[entry] = try_entry(where, entry, proofs_for(entry, every="--all" in sys.argv))
            failed = [c.id for c in tried[entry].checks if c.verdict is Verdict.FAIL]
            sys.stdout.write(f"{entry.name}: {', '.join(failed) or 'none fails'}\n")
            sys.stdout.flush()
    page = table(tried).replace(f"{scratch}/", "")  # which is another directory each time
    Path(sys.argv[1]).write_text(page, encoding="utf-8")


if __name__ == "__main__":
    sys.path[:0] = [str(TESTS)]
    main()
