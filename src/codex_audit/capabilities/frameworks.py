"""What frameworks provide, judged by the lowest version that the requirements allow."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec

from codex_audit.capabilities.match import Hit
from codex_audit.tree.requirement_facts import lower_bound

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from codex_audit.capabilities.match import Matcher
    from codex_audit.capabilities.model import Claim, FrameworkRule
    from codex_audit.tree.facts import Found

# A component of infinity stands for "the newest of this line": `<5` allows (4, inf) at most.
Version = tuple[float, ...]
NEWEST: Version = (math.inf,)

_RUNNING = frozenset({"core", "script"})
_UPPER = re.compile(r"<(=?)\s*v?(\d+(?:\.\d+)*)")


class Declared(msgspec.Struct, frozen=True):
    """The version of a framework that counts, and where that can be seen.

    `package` and `hit` are of the requirement, or `hit` is of the code that uses what the version
    `removed_in` removed, and so runs with older ones only. Without either the newest counts.
    """

    version: Version = NEWEST
    specifier: str = ""
    package: str = ""
    removed_in: str = ""
    hit: Hit | None = None

    @property
    def shown(self) -> str:
        """The version and where it was declared, for a reason."""
        if self.hit is None:
            return "newest, as no requirement names it"
        place = f"{self.hit.path}:{self.hit.line}"
        if self.removed_in:
            return f"newest before {self.removed_in}, which removed what {place} uses"
        if self.version == NEWEST:
            return f"newest, as {place} names no version"
        return f"{self.specifier} by {place}"

    @property
    def allowed(self) -> str:
        """What is allowed and where, for a gap."""
        if self.hit is None:
            return "the newest counts, as no requirement names it"
        place = f"{self.hit.path}:{self.hit.line}"
        if self.removed_in:
            return f"{place} uses what {self.removed_in} removed"
        if self.version == NEWEST:
            return f"the newest counts, as {place} names no version of {self.package}"
        if math.inf in self.version:
            return f"{place} allows {self.package} {self.specifier}"
        numbers = [*map(str, self.version), "0"][: max(2, len(self.version))]
        return f"{place} allows {self.package} {'.'.join(numbers)}"


class Provided(msgspec.Struct, frozen=True):
    """Places that show a framework's use, and a sentence about what follows from it."""

    hits: tuple[Hit, ...] = ()
    reason: str = ""


class Frameworks:
    """Answers which criteria a repository meets through the frameworks that it uses."""

    def __init__(
        self, rules: Mapping[str, FrameworkRule], matcher: Matcher, files: Sequence[Found]
    ) -> None:
        self._matcher = matcher
        self._files = files
        self._claims: dict[str, list[tuple[str, FrameworkRule, Claim]]] = defaultdict(list)
        for name, rule in rules.items():
            for claim in rule.claims:
                for key in claim.criteria:
                    self._claims[key].append((name, rule, claim))
        self._found: dict[tuple[str, str], list[Hit]] = {}
        self._declared: dict[str, Declared] = {}

    def provides(self, key: str) -> Provided:
        """Where a framework that is used provides the criterion, and why; empty where none does."""
        for name, rule, claim in self._claims.get(key, ()):
            hits = self._holds(name, rule, claim)
            if not hits:
                continue
            declared = self._version(name, rule)
            if covers(claim, declared.version):
                version = f" ({declared.shown})" if rule.packages else ""
                return Provided(hits, f"through {rule.title}{version}: {claim.text}")
        return Provided()

    def shortfall(self, key: str) -> Provided:
        """The claim that fails by the version alone, and the versions for which it would hold."""
        for name, rule, claim in self._claims.get(key, ()):
            if not claim.versions:
                continue
            declared = self._version(name, rule)
            if covers(claim, declared.version):
                continue
            hits = self._holds(name, rule, claim)
            if hits:
                where = (declared.hit,) if declared.hit else ()
                reason = f"{rule.title} does it only {claim.versions}: {declared.allowed}"
                return Provided((*where, *hits), reason)
        return Provided()

    def _holds(self, name: str, rule: FrameworkRule, claim: Claim) -> tuple[Hit, ...]:
        """Evidence of all that the claim needs: what turns it on, then the framework's use."""
        found = [self._hits(name, rule, need) for need in claim.needs]
        if not all(found):
            return ()
        used, *turned_on = found
        return tuple(dict.fromkeys(hit for hits in (*turned_on, used) for hit in hits))

    def _hits(self, name: str, rule: FrameworkRule, need: str) -> list[Hit]:
        if (name, need) not in self._found:
            self._found[name, need] = self._matcher.first(rule.signals[need])
        return self._found[name, need]

    def _version(self, name: str, rule: FrameworkRule) -> Declared:
        if name not in self._declared:
            declared = declared_version(self._files, rule.packages)
            if math.inf in declared.version:  # no lower bound: the code itself may say more
                removed = sorted(rule.removed, key=parsed)
                for version in removed:
                    hits = self._matcher.first(rule.removed[version])
                    if hits and _below(parsed(version)) < declared.version:
                        declared = Declared(
                            _below(parsed(version)), removed_in=version, hit=hits[0]
                        )
                        break
            self._declared[name] = declared
        return self._declared[name]


def declared_version(files: Sequence[Found], packages: Sequence[str]) -> Declared:
    """The lowest version of any of `packages` that the repository's requirements allow.

    Several files may require the same package. What an installation needs to run counts before
    extras, and files of the program before those of its tests, examples and documentation, which
    describe other installations. Among equals the lowest bound counts: each file can be installed
    from. One that names no version counts only where none names one, as the others hold it.
    """
    stated: list[tuple[tuple[bool, bool], Declared]] = []
    for file in files:
        for fact in file.requirements:
            if fact.name in packages:
                rank = (file.role not in _RUNNING, "runtime" not in fact.tags)
                hit = Hit(file.path, fact.line, file.role)
                one = Declared(lowest(fact.value), specifier=fact.value, package=fact.name, hit=hit)
                stated.append((rank, one))
    if not stated:
        return Declared()
    best = min(rank for rank, _ in stated)
    return min(
        (one for rank, one in stated if rank == best),
        key=lambda one: (one.version, one.hit.path if one.hit else ""),
    )


def lowest(specifier: str) -> Version:
    """The lowest version that a specifier allows.

    Without a lower bound that is the newest below the upper one: nobody means the first release.
    """
    exact = f"=={specifier}" if specifier[:1].isdigit() else specifier  # as Poetry writes it
    lower = lower_bound(exact.replace("===", "=="))
    if lower is not None:
        return _stripped(lower)
    bounds = []
    for inclusive, text in _UPPER.findall(exact):
        upper = _stripped(int(part) for part in text.split("."))
        bounds.append(upper if inclusive else _below(upper))
    return min(bounds, default=NEWEST)


def covers(claim: Claim, version: Version) -> bool:
    """Whether the claim holds for `version`."""
    after = not claim.since or version >= parsed(claim.since)
    return after and (not claim.until or version < parsed(claim.until))


def parsed(text: str) -> Version:
    """A version's numbers, without the zeros at its end, so that 4.35 equals 4.35.0."""
    return _stripped(int(part) for part in text.split("."))


def _below(version: Version) -> Version:
    """The newest version before `version`."""
    return (*version[:-1], version[-1] - 1, math.inf)


def _stripped(numbers: Iterable[int]) -> Version:
    found = list(numbers)
    while len(found) > 1 and found[-1] == 0:
        found.pop()
    return tuple(found)
