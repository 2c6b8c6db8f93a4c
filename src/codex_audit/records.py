"""What a static audit says of a tree: immutable records, made by `scan`, read by `report`."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from codex_audit.outcome import CapturedError, Evidence, Provenance


class Answer(StrEnum):
    """The answer to a criterion. `UNKNOWN`: its rule itself failed; the error is captured."""

    MET = "met"
    UNMET = "unmet"
    NOT_APPLICABLE = "not-applicable"
    UNKNOWN = "unknown"


class Proof(StrEnum):
    """How far an answer has been shown: read, reached by a test, or judged by a gate."""

    STATIC = "static"
    TESTED = "tested"
    PROVEN = "proven"
    REFUTED = "refuted"


class TestedBy(msgspec.Struct, frozen=True, kw_only=True):
    """The line of a test from which evidence is reached, as far as reading tells.

    Attributes:
        reaches: the `path:line` of the evidence.
        through: what is called on the way from the test to the code around the evidence.
    """

    # A record, no test.
    __test__ = False

    path: str
    line: int
    snippet: str
    reaches: str
    through: tuple[str, ...] = ()

    @property
    def evidence(self) -> Evidence:
        """The test's line."""
        return Evidence(self.path, self.line, self.snippet)


class Status(StrEnum):
    """The status of a capability."""

    IMPLEMENTED = "Implemented"
    PARTIALLY = "Partially"
    STUBBED = "Stubbed"
    MISSING = "Missing"
    NOT_APPLICABLE = "Not applicable"


class Criterion(msgspec.Struct, frozen=True, kw_only=True):
    """A criterion, answered for one repository.

    Attributes:
        evidence: the lines that show a met answer, best first; empty unless met.
        reason: why it does not apply or what settings say, or which framework provides it.
        tested_by: the test that reaches the evidence, if any.
        gap: what was looked for, when unmet; `nearest` is the line that comes closest, if any,
            and `miss` says what it does and does not.
        mentioned: where the documents of an unmet one speak of it, if they do.
        impact, effort: 1 (small) to 3 (large).
        proven_by: `gate:check` whose verdict may confirm or refute the answer.
        experimental: its rule is too often wrong to be graded: the answer is only shown.
        added_by: the file that added it to the catalog; empty for those that are shipped.
    """

    id: str
    question: str
    answer: Answer
    required: bool
    impact: int
    effort: int
    proof: Proof = Proof.STATIC
    evidence: tuple[Evidence, ...] = ()
    reason: str = ""
    gap: str = ""
    nearest: Evidence | None = None
    miss: str = ""
    mentioned: Evidence | None = None
    tested_by: TestedBy | None = None
    remedy: str = ""
    proven_by: tuple[str, ...] = ()
    added_by: str = ""
    experimental: bool = False

    @property
    def rung(self) -> str:
        """How far it is up the ladder; empty where not even documents speak of it.

        mentioned (in documents only), coded, tested, proven; or refuted.
        """
        if self.proof is Proof.REFUTED:
            return "refuted"
        if self.answer is Answer.UNMET:
            return "mentioned" if self.mentioned else ""
        if self.answer is not Answer.MET:
            return ""
        return "coded" if self.proof is Proof.STATIC else str(self.proof)


class Capability(msgspec.Struct, frozen=True, kw_only=True):
    """A capability with its criteria in the catalog's order; `stubs` are its stub definitions."""

    id: str
    title: str
    status: Status
    criteria: dict[str, Criterion]
    stubs: tuple[Evidence, ...] = ()


class LeftOut(msgspec.Struct, frozen=True):
    """Files that were not audited, for one reason."""

    reason: str
    count: int
    examples: tuple[str, ...]


class Unparsed(msgspec.Struct, frozen=True):
    """A file that could not be read or parsed: counted and named, not fatal."""

    path: str
    line: int
    reason: str


class Language(msgspec.Struct, frozen=True):
    """One language's share: files and physical lines."""

    name: str
    files: int
    lines: int


class FileSize(msgspec.Struct, frozen=True):
    """One file's physical lines and bytes."""

    path: str
    lines: int
    bytes: int


class RepoMap(msgspec.Struct, frozen=True, kw_only=True):
    """What the tree is made of. `python_loc`: physical lines of audited `.py` files.

    `listed_by` is `git` or `walk`. `stub_density` is stubs and markers per 1,000 Python lines.
    """

    root: str
    listed_by: str
    files: int
    python_files: int
    python_loc: int
    notebook_loc: int
    languages: tuple[Language, ...]
    largest: tuple[FileSize, ...]
    stubs: tuple[Evidence, ...]
    markers: tuple[Evidence, ...]
    stub_density: float
    left_out: tuple[LeftOut, ...]
    unparsed: tuple[Unparsed, ...]


class Seed(msgspec.Struct, frozen=True):
    """A seeded random number generator (`python`, `numpy`, `torch`, `cuda`, `jax`…), and where."""

    rng: str
    evidence: Evidence


class Reproducibility(msgspec.Struct, frozen=True, kw_only=True):
    """The reproducibility checklist. Each `recommendation` follows from what is missing."""

    seeds: tuple[Seed, ...]
    determinism: tuple[Evidence, ...]
    rng_capture: tuple[Evidence, ...]
    lock_files: tuple[str, ...]
    data_manifests: tuple[Evidence, ...]
    git_commit: tuple[Evidence, ...]
    environment: tuple[Evidence, ...]
    recommendations: tuple[str, ...]


class Kind(msgspec.Struct, frozen=True):
    """What kind of repository it is (`capabilities/kinds.toml`), and why.

    `evidence` is empty where a kind holds by absence. `runner_up` is the id of the kind that holds
    besides; `declared`: settings say so, not the code.
    """

    id: str
    title: str
    evidence: tuple[Evidence, ...]
    reason: str
    runner_up: str = ""
    declared: bool = False


class Scan(msgspec.Struct, frozen=True, kw_only=True):
    """A whole static audit. `trains`: whether the repository trains a model."""

    project: str
    catalog_version: str
    trains: bool
    kind: Kind
    repo_map: RepoMap
    capabilities: dict[str, Capability]
    reproducibility: Reproducibility
    errors: tuple[CapturedError, ...]
    provenance: Provenance
