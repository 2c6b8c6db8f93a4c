"""The catalog's own types: what a capability file may say. Unknown keys are refused."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Literal

import msgspec

Globs = str | tuple[str, ...]
Small = Annotated[int, msgspec.Meta(ge=1, le=3)]
Within = Literal["repo", "file", "class", "scope"]

FACT_KINDS = (
    "import", "call", "def", "class", "decorator", "assign", "key", "lookup", "test", "loop",
    "string", "raise", "config", "docker", "shell", "heading", "code", "prose", "link",
    "file", "requirement",
)  # fmt: skip
COMBINATORS = ("all", "any", "none", "calls", "surely", "criterion")
# The attributes of a signal that say what it asks for: keywords of Python have an underscore.
_OPERANDS = {
    kind: f"{kind}_" if kind in {"import", "def", "class", "raise", "all", "any", "none"} else kind
    for kind in (*FACT_KINDS, *COMBINATORS)
}


class Signal(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    dict=True,  # where `kind` is kept
):
    """One thing to look for: a fact of one kind, or a combination of signals.

    Exactly one of the fact kinds, `all`, `any`, `none`, `calls`, `surely` or `criterion` is given.
    A fact kind is given the names it looks for: globs (`*` also crosses dots and slashes), or
    `re:` and a regular expression that must match the whole name.

    Attributes:
        value: regular expression searched in the fact's text (arguments, right-hand side, line).
        not_value: regular expression that the text must not contain.
        kw: keyword argument -> regular expression searched in its text.
        no_kw: keyword arguments that must be absent.
        tag: globs of which one must fit one of the fact's tags (bases, decorators, flags).
        not_tag: globs of which none may fit.
        scope: regular expression searched in the enclosing `Class.function`.
        path: globs of which one must fit the file's path; `not_path`: of which none may.
        roles: roles of file that count; those of running code where none are given.
        at_least: number of different files that must show it.
        min: for `requirement`, the lowest version that its lower bound must reach.
        within: where all of `all` must be found together.
        deep: for `calls`, how many calls away the function may be.
    """

    import_: Globs | None = msgspec.field(name="import", default=None)
    call: Globs | None = None
    def_: Globs | None = msgspec.field(name="def", default=None)
    class_: Globs | None = msgspec.field(name="class", default=None)
    decorator: Globs | None = None
    assign: Globs | None = None
    key: Globs | None = None
    lookup: Globs | None = None
    test: Globs | None = None
    loop: Globs | None = None
    string: Globs | None = None
    raise_: Globs | None = msgspec.field(name="raise", default=None)
    config: Globs | None = None
    docker: Globs | None = None
    shell: Globs | None = None
    heading: Globs | None = None
    code: Globs | None = None
    prose: Globs | None = None
    link: Globs | None = None
    file: Globs | None = None
    requirement: Globs | None = None

    all_: tuple[Signal, ...] | None = msgspec.field(name="all", default=None)
    any_: tuple[Signal, ...] | None = msgspec.field(name="any", default=None)
    none_: tuple[Signal, ...] | None = msgspec.field(name="none", default=None)
    calls: tuple[Signal, ...] | None = None
    surely: tuple[Signal, ...] | None = None
    criterion: str | None = None

    value: str | None = None
    not_value: str | None = None
    kw: dict[str, str] = {}
    no_kw: tuple[str, ...] = ()
    tag: Globs = ()
    not_tag: Globs = ()
    scope: str | None = None
    path: Globs = ()
    not_path: Globs = ()
    roles: tuple[str, ...] = ()
    at_least: int = 1
    min: str | None = None
    within: Within = "repo"
    deep: Small = 1

    @cached_property
    def kind(self) -> str:
        """The fact kind or the combinator that this signal is.

        Raises:
            ValueError: it is none, or several.
        """
        given = [kind for kind, name in _OPERANDS.items() if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"a signal names exactly one kind, not {given or 'none'}")
        return given[0]

    @cached_property
    def identity(self) -> bytes:
        """What tells this signal from others: that of equal ones is the same."""
        return msgspec.msgpack.encode(self)

    def operand(self, kind: str) -> Globs | tuple[Signal, ...] | None:
        """What is given for `kind`."""
        operand: Globs | tuple[Signal, ...] | None = getattr(self, _OPERANDS[kind])
        return operand


class CriterionRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one criterion is answered.

    Met when one of `met` is found and none of `unless` is. Where only `unless` is given, the
    criterion is about absence: met when nothing is found; `shown` then may name lines to cite.
    `near` finds the nearest miss of an unmet one; `miss` goes on from its `path:line`: what the
    line does and what it does not. `subject` names the subject (subjects.toml) without which it
    does not apply, `""` for none; a capability's own where absent. `withhold` cites lines without
    their text, which may be a secret. `kit` is the object of `codex_ml` that closes the gap. What
    is `of_runs` of a training program has the least impact where nothing is trained.
    """

    question: str
    why: str
    gap: str
    remedy: str
    impact: Small
    effort: Small
    required: bool
    met: tuple[Signal, ...] = ()
    unless: tuple[Signal, ...] = ()
    shown: tuple[Signal, ...] = ()
    near: tuple[Signal, ...] = ()
    miss: str = ""
    subject: str | None = None
    proven_by: tuple[str, ...] = ()
    kit: str = ""
    withhold: bool = False
    of_runs: bool = False


class CapabilityRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One capability. `stubs`: expression of the names of stubs that show the intent.

    `entrances_first`: its lines are cited where runs are started before others, and where a trained
    model is only used after them.
    """

    id: str
    title: str
    why: str
    criteria: dict[str, CriterionRule]
    subject: str = ""
    stubs: str = ""
    entrances_first: bool = False


class SubjectRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that criteria are about; `reason` is shown where it is absent."""

    reason: str
    met: tuple[Signal, ...]
    unless: tuple[Signal, ...] = ()


class KindRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A kind of repository: it holds when one of `met` is found, or none is given.

    `means` says in a few words what it is; `also`: kinds named beside it where they hold as well;
    `has` and `without`: subjects that a repository declared to be of this kind has or lacks.
    """

    title: str
    means: str
    met: tuple[Signal, ...] = ()
    also: tuple[str, ...] = ()
    has: tuple[str, ...] = ()
    without: tuple[str, ...] = ()


class Claim(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a framework does, when, from which version, and where that can be read.

    Attributes:
        criteria: `capability.criterion` that it meets.
        needs: names of the framework's signals, all of which must be found: first its use, then
            the options that turn this on; none of those where it is a default.
        text: what it does, as the reason shows it.
        reference: `distribution version: file: text in that file`, or an address.
        since: the first version for which it holds; `until`: the first for which it no longer does.
    """

    criteria: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    needs: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    text: str
    reference: Annotated[str, msgspec.Meta(pattern=r"^(https://\S+|[a-z0-9-]+ \d[\w.]*: \S+: .+)$")]
    since: Annotated[str, msgspec.Meta(pattern=r"^(\d+(\.\d+)*)?$")] = ""
    until: Annotated[str, msgspec.Meta(pattern=r"^(\d+(\.\d+)*)?$")] = ""

    @property
    def versions(self) -> str:
        """The versions for which it holds, in words; empty for all."""
        first = f"from {self.since} on" if self.since else ""
        last = f"before {self.until}" if self.until else ""
        return " and ".join(filter(None, (first, last)))


class FrameworkRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One framework file: how its use is seen and what it provides.

    `signals`: name -> signals of which any is enough; `packages`: the distributions whose
    requirement decides the version that counts; `removed`: version -> signals of what it removed:
    code that shows one runs with older versions only, which counts where no requirement says more.
    """

    title: str
    signals: dict[str, tuple[Signal, ...]]
    claims: tuple[Claim, ...]
    packages: tuple[str, ...] = ()
    removed: dict[Annotated[str, msgspec.Meta(pattern=r"^\d+(\.\d+)*$")], tuple[Signal, ...]] = {}

    @property
    def criteria(self) -> frozenset[str]:
        """Every `capability.criterion` that this framework may provide."""
        return frozenset(key for claim in self.claims for key in claim.criteria)
