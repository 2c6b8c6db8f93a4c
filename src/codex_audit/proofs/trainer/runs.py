"""The runs that proofs ask for: each is made once, whichever proofs look at it."""

from __future__ import annotations

import msgspec

from codex_audit.diagnosis import Failure
from codex_audit.outcome import Evidence
from codex_audit.proofs.trainer.trace import State, Trace

SEED, OTHER_SEED = 1234, 4321

Knob = int | float | bool | str | None


class Faults(msgspec.Struct, frozen=True):
    """What a proof does to a run.

    Attributes:
        kill_at: (steps, micro-batches): the process ends by SIGKILL after so many of its own
            optimizer steps and so many backward passes beyond them.
        poison_at: the optimizer step of this process whose forward passes give NaN, once.
        contrary: the gradients of every rank but the first are taken with the other sign.
        poison_passes: so many of that step's passes, from its first; all of them if not told.
        count_at: steps after which what is alive in the process is counted. Nothing else is then
            seen of states, so that nothing grows but the subject.
        worsen_from: after so many steps of this process what models give without gradients is
            worse, so that an evaluation is.
        still: dropout drops nothing.
        own_gradients: at each backward pass the gradient is also taken apart from the trainer.
        repeat_batch: every loader gives its first batch again and again.
        recur: after so many batches of a data set its loaders give those again, in turn.
        late: seconds by which a rank comes too late to a save, one after the other.
        late_first: the rank that comes too late to the first.
    """

    kill_at: tuple[int, int] | None = None
    poison_at: int | None = None
    poison_passes: int | None = None
    count_at: tuple[int, ...] = ()
    still: bool = False
    own_gradients: bool = False
    contrary: bool = False
    repeat_batch: bool = False
    recur: int = 0
    worsen_from: int | None = None
    late: float = 0.0
    late_first: int = 0


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the subject, in a process of its own. Equal requests are one run.

    Attributes:
        until: optimizer steps done in all at its end, counting those before a resume.
        horizon: steps that the training is planned for, on which a schedule may depend.
        saves: steps after which it saves, each into a place of its own if `apart`, else all
            into the one that the subject would use.
        relative: whether its directories are told as relative paths, as `./out/` is.
        onward: whether it goes on in the directory of `source`, and saves there.
        source: the run from whose directory it resumes, after that has ended.
        source_step: which save of `source`, where `apart`; the newest intact one otherwise.
        knobs: settings of the subject that are not its own defaults.
        copied: what it resumes from is a copy in which the files' times are in reverse, as a copy
            over a network or through an archive may have any.
        faults: what is done to it.
        break_save: (which save, from 1; bytes): the system kills it as it writes more than that
            many bytes to one file during that save.
        stop_save: (which save, from 1; seconds): it is killed so long after that save began,
            whether that has returned by then or not.
        halt_save: (which save, from 1; which operation, from 1): it is killed right before that
            change to its files, counted from that save on, as `Save.operations` tells them.
        evaluate_at: steps after which it evaluates, where the subject can be asked to.
        offline: no network can be reached, nor a name be resolved.
        stops: whether it may end before `until` by itself, as early stopping does.
        stepwise: ask for one step at a time, of a subject in which no optimizer is seen to step.
        together: ask for one step at a time, in which several optimizers have their turns.
        number: of equal requests, to ask for two runs that should not differ.
        ranks: of a distributed run.
    """

    until: int
    horizon: int
    seed: int = SEED
    device: str = "cpu"
    saves: tuple[int, ...] = ()
    apart: bool = True
    relative: bool = False
    onward: bool = False
    copied: bool = False
    source: Run | None = None
    source_step: int | None = None
    knobs: tuple[tuple[str, Knob], ...] = ()
    faults: Faults = Faults()
    break_save: tuple[int, int] | None = None
    stop_save: tuple[int, float] | None = None
    halt_save: tuple[int, int] | None = None
    evaluate_at: tuple[int, ...] = ()
    offline: bool = False
    stops: bool = False
    stepwise: bool = False
    together: bool = False
    number: int = 1
    ranks: int = 1

    def with_knobs(self, **knobs: Knob) -> Run:
        """The same with further settings of the subject."""
        merged = dict(self.knobs) | knobs
        return msgspec.structs.replace(self, knobs=tuple(sorted(merged.items())))


class File(msgspec.Struct, frozen=True):
    """A file that a run left.

    Attributes:
        path: below the directory that was resumed from.
        size: in bytes.
        refused: why torch refuses to load it safely, if it does.
        tensors: SHA-256 of the bytes of each tensor in it, where it could be read.
        read: whether the subject read it as it resumed.
        safely: whether it did so with `weights_only=True`, and whatever it allows.
    """

    path: str
    size: int
    refused: str = ""
    tensors: frozenset[str] = frozenset()
    read: bool = False
    safely: bool = False


class Save(msgspec.Struct, frozen=True):
    """A save that returned.

    Attributes:
        step: after which it was asked for.
        seconds: until it returned.
        rng: every generator right after it.
        made: optimizer steps that this process had made.
        scaler: loss scale, and steps since it changed, where one is used.
        operations: each change to files, as Python makes it; others are not seen.
        late: how many of them came after it had returned.
        unsynced: names to which Python moved what it had not synced to the disk.
    """

    step: int
    seconds: float
    rng: dict[str, str]
    made: int = 0
    scaler: tuple[float, int] | None = None
    operations: tuple[str, ...] = ()
    late: int = 0
    unsynced: tuple[str, ...] = ()


class Evaluation(msgspec.Struct, frozen=True):
    """The subject right before and right after it evaluated, and the loss that it told of.

    `touched` is a parameter whose gradient is another afterwards, if there is one; `drops` counts
    how often dropout dropped something.
    """

    before: State
    after: State
    loss: float | None = None
    touched: str = ""
    drops: int = 0


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a run.

    Attributes:
        trace: what the recorder saw, also of a run that was killed.
        losses: what `train` returned, where it returned something.
        exit_code: 0, or negative for the signal that ended it.
        failure: the exception that ended it.
        skip: why the subject cannot do what was asked, where it cannot.
        loaded: the subject right after it loaded, where loading is a call of its own.
        final: the subject at the run's own end.
        files: what lay in the directory that it resumed from.
        gone: files that lay there, or in the directory that this is a copy of, and are deleted.
        saves: those that returned.
        evaluations: of those asked for.
        directory: where its checkpoints are.
        peers: of a distributed run, the results of the other ranks.
        optimizers: how many made steps.
        follows: whether a schedule was stepped by what was measured (ReduceLROnPlateau).
        shuffles: whether a sampler said that it draws its order at random.
        looks: passes of which no loss was made, such as those of evaluations.
        printed: the end of what it printed.
    """

    trace: Trace
    losses: tuple[float, ...] = ()
    exit_code: int = 0
    failure: Failure | None = None
    skip: str = ""
    loaded: State | None = None
    final: State | None = None
    files: tuple[File, ...] = ()
    gone: tuple[str, ...] = ()
    saves: tuple[Save, ...] = ()
    evaluations: tuple[Evaluation, ...] = ()
    directory: str = ""
    peers: tuple[Result, ...] = ()
    optimizers: int = 1
    follows: bool = False
    shuffles: bool = False
    looks: int = 0
    printed: str = ""

    @property
    def completed(self) -> bool:
        """Whether it came to its own end, without an exception."""
        return self.exit_code == 0 and self.failure is None and not self.skip

    @property
    def ending(self) -> str:
        """How it ended, to follow "the run"."""
        if self.failure is not None:
            return f"ended with {self.failure.shown}"
        if self.exit_code < 0:
            return f"was killed by signal {-self.exit_code}"
        return f"ended with code {self.exit_code}" if self.exit_code else "came to its end"


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the subject before the proofs ask for runs.

    Attributes:
        name: as the settings name it.
        adapter: through which it is driven.
        in_tree: whether its code belongs to the audited repository.
        knobs: settings of `Run.knobs` that it understands.
        abilities: what else it can be asked for, such as "evaluate".
        places: method -> where it is defined.
        versions: library -> version.
        device_name: of the accelerator, if there is one.
    """

    name: str
    adapter: str
    in_tree: bool
    knobs: frozenset[str] = frozenset()
    abilities: frozenset[str] = frozenset()
    places: dict[str, Evidence] = {}
    versions: dict[str, str] = {}
    device_name: str | None = None
