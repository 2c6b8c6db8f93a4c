"""`[tool.codex-audit]` of the audited repository, typed, with exact errors."""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path
from typing import Annotated, Any

import msgspec
import tomli

from codex_audit.tree.reading import read_regular

DEFAULT_GATES = (
    "lint",
    "type",
    "security",
    "tests",
    "tokenizer",
    "trainer-smoke-cpu",
    "trainer-smoke-cuda",
)

Seconds = Annotated[float, msgspec.Meta(gt=0)]


class SettingsError(ValueError):
    """Settings that cannot be used; the message names the file, the key and the remedy."""


class _Table(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """A table of settings: kebab-case keys, and none that nobody reads."""


Reason = Annotated[str, msgspec.Meta(min_length=1)]


class LossFile(_Table, frozen=True):
    """Losses in files.

    Attributes:
        file: a file, or a glob, below `{dir}`: JSON lines, or CSV where it ends so, or events of
            TensorBoard where `tfevents` is in its name; their steps are told without a key.
        key: of the loss in each record; dots lead into records within.
        step, epoch: keys of their numbers in each record.
        regex: instead of a key, what the lines look like, with a group named `loss`.
    """

    file: str
    key: str = ""
    step: str = ""
    epoch: str = ""
    regex: str = ""


class TrainerSettings(_Table, frozen=True):
    """The trainer on trial.

    Attributes:
        factory: `module:function`; none, and no command, means the reference kit.
        command: a training command instead, with `{steps}`, `{dir}`, `{seed}` and `{device}`.
        resume: the command that goes on from what `command` left in `{dir}`; dots at its
            beginning stand for `command`, `{checkpoint}` for the newest that `checkpoints` finds.
        losses: a regular expression with a group `loss`, and perhaps `step`, on the output; or
            a file.
        checkpoints: a glob below `{dir}`.
        environment: variables for the command.
        python: the interpreter that the command calls `python`, if not this one.
        cwd: where the command runs, relative to the repository.
        copy: each run has a copy of the repository as its `{dir}`, and runs there.
        terminal: its standard input is a terminal, as scripts want that ask for its width.
        endless: it takes no `{steps}`, and each run is ended after so many logged losses.
        setup: a command that is run once before.
        steps: optimizer steps of the longest run.
        limits: proof -> why the trainer does not promise this; it then cannot fail.
    """

    factory: str | None = None
    command: str | None = None
    resume: str | None = None
    losses: str | LossFile | None = None
    checkpoints: str | None = None
    environment: dict[str, str] = {}
    python: str | None = None
    cwd: str | None = None
    copy: bool = False
    terminal: bool = False
    endless: bool = False
    setup: str | None = None
    steps: Annotated[int, msgspec.Meta(ge=4)] = 40
    limits: dict[str, Reason] = {}


class TokenizerSettings(_Table, frozen=True):
    """The tokenizer on trial.

    Attributes:
        path: a tokenizer's file or directory; none means what the tree leaves no doubt about, or
            the reference kit.
        factory: `module:function` that returns a tokenizer, instead of a path.
        same_as: a path or factory of another implementation that must agree with it.
        normalization: names of what it is meant to change in a text.
        domain: a file of texts, one a line, where it is made for no others.
        limits: proof -> why the tokenizer does not promise this; it then cannot fail.
    """

    path: str | None = None
    factory: str | None = None
    same_as: str | None = None
    normalization: tuple[str, ...] = ()
    domain: str | None = None
    limits: dict[str, Reason] = {}


class Settings(_Table, frozen=True):
    """All settings, with their defaults.

    Attributes:
        project: name in the document's title; the `[project]` name or the directory's otherwise.
        kind: what kind of repository it is (`capabilities/kinds.toml`); inferred otherwise.
        asker: who asks, in the first line of each captured error.
        out: directory of outcomes and documents, relative to the repository.
        gates: the gates that belong to this audit.
        required: those of them that must pass for the audit to exit 0; all but CUDA by default.
        projects: directories, relative to the repository, of which each is reported on its own too.
        exclude: git-style patterns of paths that are not audited.
        catalog: TOML files of further criteria, or directories of such, relative to the repository.
        not_applicable: capability or `capability.criterion` -> the reason it does not apply.
        timeout: seconds that one gate may take.
        timeouts: gate -> seconds, where one differs.
        lint_paths, type_paths, security_paths: what the tools are given; the tools' own
            configuration decides where these are empty.
    """

    project: str | None = None
    kind: str | None = None
    asker: str = "ChatGPT @codex"
    out: str = ".audit"
    gates: tuple[str, ...] = DEFAULT_GATES
    required: tuple[str, ...] | None = None
    projects: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    catalog: tuple[str, ...] = ()
    not_applicable: dict[str, str] = {}
    timeout: Seconds = 1800
    timeouts: dict[str, Seconds] = {}
    lint_paths: tuple[str, ...] = ()
    type_paths: tuple[str, ...] = ()
    security_paths: tuple[str, ...] = ()
    trainer: TrainerSettings = TrainerSettings()
    tokenizer: TokenizerSettings = TokenizerSettings()

    @property
    def required_gates(self) -> tuple[str, ...]:
        """The gates that must pass: `required`, or all of `gates` but the CUDA one."""
        if self.required is not None:
            return self.required
        return tuple(gate for gate in self.gates if gate != "trainer-smoke-cuda")

    def gate_timeout(self, gate: str) -> float:
        """Seconds that `gate` may take."""
        return self.timeouts.get(gate, self.timeout)


def load_settings(root: Path) -> Settings:
    """Read `[tool.codex-audit]` of `root/pyproject.toml`; defaults where there is none.

    Raises:
        SettingsError: the file is no TOML, or a key is unknown or of the wrong type.
    """
    path = root / "pyproject.toml"
    data = _read(path)
    if data is None:
        return Settings(project=root.resolve().name)
    settings = _convert(path, _table(data, "tool").get("codex-audit", {}))
    unknown = [gate for gate in settings.required_gates if gate not in settings.gates]
    if unknown:
        raise SettingsError(
            f"{path}: [tool.codex-audit] required: {unknown[0]!r} is not among gates "
            f"({', '.join(settings.gates)}); add it to gates or leave it out"
        )
    if settings.project is None:
        name = _table(data, "project").get("name")
        project = name if isinstance(name, str) and name else root.resolve().name
        settings = msgspec.structs.replace(settings, project=project)
    return settings


def declared(settings: Settings) -> dict[str, Any]:
    """What differs from the defaults, by its key (`trainer.steps`); not what only names things."""
    given, defaults = _flat(settings), _flat(Settings())
    return {
        key: value
        for key, value in given.items()
        if value != defaults[key] and key not in {"project", "asker"}
    }


def _flat(settings: Settings) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(settings)
    for name in ("trainer", "tokenizer"):
        found |= {f"{name}.{key}": value for key, value in found.pop(name).items()}
    return found


def has_settings(root: Path) -> bool:
    """Whether `root/pyproject.toml` has a table `[tool.codex-audit]`.

    Raises:
        SettingsError: the file is no TOML.
    """
    data = _read(root / "pyproject.toml")
    return data is not None and "codex-audit" in _table(data, "tool")


def _read(path: Path) -> dict[str, Any] | None:
    """The file's tables; none where there is no file."""
    try:
        # a link may lead elsewhere, but what it leads to must be a file, not a FIFO
        text = read_regular(Path(os.path.realpath(path))).decode()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read ({error}); make it UTF-8 TOML") from error
    try:
        return tomli.loads(text)
    except ValueError as error:  # also an integer of more digits than Python reads
        raise SettingsError(f"{path}: not valid TOML ({error}); mend that line") from error
    except RecursionError as error:
        raise SettingsError(f"{path}: nested too deeply to be read; make it flatter") from error


def _table(data: dict[str, Any], name: str) -> dict[str, Any]:
    """A table of the file; empty where something else has its name, which is not our affair."""
    found = data.get(name)
    return found if isinstance(found, dict) else {}


def _convert(path: Path, table: Any) -> Settings:
    try:
        return msgspec.convert(table, Settings)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `$")
        parts = re.sub(r"\[\.\.\.\]|`$", "", place).strip(".")
        unknown = re.search(r"unknown field `([^`]+)`", message)
        if unknown is None:
            key = parts or "(the table itself)"
            raise SettingsError(
                f"{path}: [tool.codex-audit] {key}: {message[0].lower()}{message[1:]}; "
                "correct the value"
            ) from error
        key = unknown.group(1)
        tables: dict[str, type[msgspec.Struct]] = {
            "trainer": TrainerSettings,
            "trainer.losses": LossFile,
            "tokenizer": TokenizerSettings,
        }
        known = msgspec.structs.fields(tables.get(parts, Settings))
        names = [field.encode_name for field in known]
        near = difflib.get_close_matches(key, names, n=1)
        remedy = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(names)}"
        full = f"{parts}.{key}" if parts else key
        raise SettingsError(f"{path}: [tool.codex-audit] {full}: unknown key; {remedy}") from error
