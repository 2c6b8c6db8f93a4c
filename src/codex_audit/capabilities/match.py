"""Finding signals among facts: each signal gives the places where it holds."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from codex_audit.capabilities.model import COMBINATORS
from codex_audit.tree.roles import RANK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from codex_audit.capabilities.callers import Callers
    from codex_audit.capabilities.model import Signal
    from codex_audit.capabilities.probes import Probes
    from codex_audit.tree.facts import Found

_DOCUMENTS = (".md", ".mdx", ".rst", ".qmd")
_SUPERSEDED = re.compile(r"(?i)(^|[/_.-])(legacy|deprecated|old|archived?)([/_.-])")
# What turns weights into another format saves and loads, but nothing that a reader asked about.
_CONVERTS = re.compile(
    r"(?i)(^|/)[^/]*(convert|conversion|export|apply_delta|make_delta|migrat)[^/]*\.(py|sh)$"
)
# Where a reader who asks about a run begins, and where last.
_STARTS_A_RUN = re.compile(
    r"(?i)(^|/)(train|trainer|main|run_train|pretrain|fine[-_]?tune)\.(py|sh|ya?ml)$"
)
_USES_A_MODEL = re.compile(
    r"(?i)(^|/)([\w-]+[_-])?(evals?|evaluate|evaluation|evaluators?|infer|inference|generate|generation"
    r"|serve|serving|predict|prediction|demo|sampling|benchmarks?|viewer\w*|visuali[sz]\w*)"
    r"([_-][\w-]+)?(/|\.(py|sh|ipynb|ya?ml)$)"
)


class Hit(msgspec.Struct, frozen=True):
    """A place where a signal holds."""

    path: str
    line: int
    role: str
    scope: str = ""


class Findings:
    """What was found in the files of a whole tree, by signal.

    `named` says how often the README names a file of that name.
    """

    def __init__(
        self, probes: Probes, files: Sequence[Found], named: Mapping[str, int] | None = None
    ) -> None:
        self._probes = probes
        self._places: dict[int, list[tuple[Found, tuple[tuple[int, str], ...]]]] = {}
        self._broken: dict[int, str] = {}
        self._ranks: dict[str, _Rank] = {}
        for file in files:
            self._ranks[file.path] = _rank(file, named or {})
            self._broken.update(file.broken)
            for number, places in file.hits.items():
                self._places.setdefault(number, []).append((file, places))

    def rank(self, path: str) -> _Rank:
        """How good a file is as evidence, the best first.

        By its role, by whether it calls itself old or a converter, by how often the README names
        it, by how much else is found in it (in powers of two: where most of what a repository does
        is found, a reader looks first), by its depth.
        """
        return self._ranks[path]

    def counts(self, signals: Iterable[Signal]) -> Mapping[str, int]:
        """File -> how many of the signals that ask for facts hold in it."""
        numbers = {self._probes.number(each) for each in signals if each.kind not in COMBINATORS}
        return Counter(file.path for number in numbers for file, _ in self._places.get(number, ()))

    def hits(self, signal: Signal) -> list[Hit]:
        """Where a signal that asks for facts holds, in the files' order.

        Raises:
            ValueError: it could not be asked.
        """
        number = self._probes.number(signal)
        if number in self._broken:
            raise ValueError(self._broken[number])
        return [
            Hit(file.path, line, file.role, scope)
            for file, places in self._places.get(number, ())
            for line, scope in places
        ]


class Matcher:
    """Finds signals in a tree.

    `criterion_met` answers signals that refer to other criteria; `callers` those about where
    functions are called, and about lines that run in any case.
    """

    def __init__(
        self,
        findings: Findings,
        criterion_met: Callable[[str], Sequence[Hit] | None],
        callers: Callers,
    ) -> None:
        self._findings = findings
        self._callers = callers
        self._criterion_met = criterion_met
        self._seen: dict[int, tuple[Signal, list[Hit]]] = {}

    def first(
        self,
        signals: Iterable[Signal],
        *,
        entrances_first: bool = False,
        topic: Mapping[str, int] | None = None,
    ) -> list[Hit]:
        """The places of all signals, best first.

        Core code before scripts before the rest, what is current before what calls itself old
        or converts, then in the signals' order, the files first that the README names most, and
        then those in which most is found: of what `topic` counts in each, then of all. With
        `entrances_first`, files that start a run come before others of the same signal, and those
        that only use a trained model after them.
        """
        counted = topic or {}
        ranked = []
        for order, signal in enumerate(signals):
            for hit in self.hits(signal):
                role, aside, named, found, depth = self._findings.rank(hit.path)
                near = _distance(hit.path) if entrances_first else 0
                own = -(counted.get(hit.path, 0) + 1).bit_length()
                place = (named, own, found, depth, hit.path, hit.line)
                ranked.append((role, aside, order, near, *place, hit))
        ranked.sort(key=lambda item: item[:-1])
        return list(dict.fromkeys(item[-1] for item in ranked))

    def hits(self, signal: Signal) -> list[Hit]:
        """The places where `signal` holds; none when it does not."""
        cached = self._seen.get(id(signal))
        if cached is None:
            # the signal is kept, so that its id is not given to another one
            cached = self._seen[id(signal)] = (signal, self._find(signal))
        return cached[1]

    def _find(self, signal: Signal) -> list[Hit]:
        kind = signal.kind
        if kind == "criterion":
            return list(self._criterion_met(signal.criterion or "") or ())
        if kind == "any":
            found = [hit for part in signal.any_ or () for hit in self.hits(part)]
        elif kind == "calls":
            inside = [hit for part in signal.calls or () for hit in self.hits(part)]
            found = self._callers.of(inside, signal.deep) if inside else []
        elif kind == "surely":
            every = (hit for part in signal.surely or () for hit in self.hits(part))
            found = [hit for hit in every if self._callers.surely(hit)]
        elif kind == "all":
            found = self._all(signal)
        elif kind == "none":
            raise ValueError("`none` holds nowhere by itself: put it inside `all`")
        else:
            found = self._findings.hits(signal)
        if len({hit.path for hit in found}) < signal.at_least:
            return []
        return found

    def _all(self, signal: Signal) -> list[Hit]:
        parts = signal.all_ or ()
        positive = [part for part in parts if part.none_ is None]
        negative = [inner for part in parts for inner in part.none_ or ()]
        if not positive:
            raise ValueError("`all` needs a signal besides `none`")
        # Another criterion and what the repository requires hold for the tree as a whole.
        local = [
            part for part in positive if part.kind not in {"criterion", "requirement"}
        ] or positive
        if any(not self.hits(part) for part in positive):
            return []
        key = _KEYS[signal.within]
        places = set.intersection(*({key(hit) for hit in self.hits(part)} for part in local))
        for inner in negative:
            found = self.hits(inner)
            if inner.kind in {"criterion", "requirement"} and found:
                return []
            places -= {key(hit) for hit in found}
        if signal.within == "repo":
            return self.hits(positive[0]) if places else []
        return [hit for hit in self.hits(local[0]) if key(hit) in places]


_Rank = tuple[int, bool, int, int, int]


def _rank(file: Found, named: Mapping[str, int]) -> _Rank:
    depth = file.path.count("/")
    role = file.role
    if role == "script" and not depth:
        role = "core"  # the repository's own entrance
    elif file.path.endswith(_DOCUMENTS):
        # A page in the root, then those written for readers, then those beside code.
        role = {0: "core"}.get(depth, "script" if role == "docs" else "docs")
    found = -(len(file.hits) + 1).bit_length()
    aside = bool(_SUPERSEDED.search(file.path) or _CONVERTS.search(file.path))
    often = named.get(file.path.rpartition("/")[2], 0)
    return RANK.get(role, len(RANK)), aside, -often, found, depth


def _distance(path: str) -> int:
    if _STARTS_A_RUN.search(path):
        return 0
    return 2 if _USES_A_MODEL.search(path) else 1


def _everywhere(_hit: Hit) -> object:
    return None


_KEYS: dict[str, Callable[[Hit], object]] = {
    "repo": _everywhere,
    "file": lambda hit: hit.path,
    "class": lambda hit: (hit.path, hit.scope.split(".")[0]),
    "scope": lambda hit: (hit.path, hit.scope),
}
