"""`codex-audit init`: sessions, settings and a CI workflow for a repository that has none.

What is there already is never touched: what would have to be added to it is returned as text.
"""

from __future__ import annotations

import ast
import json
import re
from enum import StrEnum
from importlib import resources
from typing import TYPE_CHECKING, Any

import msgspec
import tomli

from codex_audit.installed import from_this_machine, published
from codex_audit.projects import Audited
from codex_audit.proofs.tokenizer.discovery import discovered
from codex_audit.records import Answer
from codex_audit.settings import Settings, has_settings, load_settings
from codex_audit.tree.files import list_tree
from codex_audit.tree.git import repository_of
from codex_audit.tree.roles import CODE_ROLES

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from codex_audit.records import Scan
    from codex_audit.tree.files import Tree

NOXFILE, SETTINGS, WORKFLOW = "noxfile.py", "pyproject.toml", ".github/workflows/audit.yml"
_PACKAGED = ("setup.py", "setup.cfg")
# Extras, dependency groups and files that are named for what tests need, the best first.
_FOR_TESTS = ("test", "tests", "testing", "dev")
_TRAINS = re.compile(r"(?i)(pre_?)?(train|finetun|fine_tun)(?!er|ing|s)\w*\.py$")
_OLDEST = 11  # this package needs Python 3.11
_WIDTH = 79  # of a line that every configuration of ruff allows


class Done(StrEnum):
    """What became of a file."""

    WRITTEN = "written"
    THERE = "there already"
    TO_ADD = "to be added by hand"


class Part(msgspec.Struct, frozen=True):
    """One of the three files: what became of it, and what is to be added where it is not ours."""

    path: str
    done: Done
    text: str = ""
    note: str = ""


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in a repository.

    Attributes:
        install: what installs it with its dependencies; empty where nothing does.
        for_tests: what its tests need besides.
        gates: the gates that apply.
        why: why others do not.
        tokenizers: the paths of those that the files show.
        program: the program that trains.
        python: the lowest minor version of Python 3 for it and for us.
        out: where outcomes go.
    """

    install: tuple[str, ...]
    for_tests: tuple[str, ...]
    gates: tuple[str, ...]
    why: tuple[str, ...]
    tokenizers: tuple[str, ...]
    program: str
    python: int
    out: str


def init(root: Path) -> tuple[Part, ...]:
    """Write what is missing of the three files into the repository at `root`.

    Raises:
        SettingsError: its `pyproject.toml` cannot be used.
        OSError: a file cannot be read or written.
    """
    settings = load_settings(root)
    found = look(root, settings)
    values = {
        "names": found.gates,
        "gates": json.dumps(list(found.gates)),
        "why": found.why,
        "tokenizers": [json.dumps(path) for path in found.tokenizers],
        "program": found.program,
        "python": f"3.{found.python}",
        "out": found.out,
        "register": _call(found),
        "requirement": published(),
    }
    return (
        _noxfile(root, _render("noxfile.py", values), found),
        _settings(root, _render("settings.toml", values)),
        _workflow(root, _render("audit.yml", values)),
    )


def look(root: Path, settings: Settings) -> Project:
    """What the tree and its static audit say of the repository."""
    tree = list_tree(root, settings.exclude)
    paths = [file.path for file in tree.files]
    scan = Audited(root, settings, root).scan("codex-audit init")
    project = _pyproject(root)
    tokenizers = discovered(root, paths)
    gates, why = _gates(settings, scan, tokenizer=bool(tokenizers))
    return Project(
        install=_install(root, project),
        for_tests=_for_tests(paths, project),
        gates=gates,
        why=why,
        tokenizers=tokenizers,
        program=_program(tree, scan),
        python=_python(project),
        out=settings.out,
    )


def _gates(
    settings: Settings, scan: Scan, *, tokenizer: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The gates that have something to judge, and why the others are left out."""
    if settings != Settings(project=settings.project):
        return settings.gates, ()  # the repository has said so itself
    left_out = set()
    why = []
    found = scan.capabilities["tokenization"].criteria["tokenizer"]
    if not tokenizer and found.answer is not Answer.MET:
        left_out.add("tokenizer")
        why.append("No tokenizer was found: add the gate `tokenizer` when there is one.")
    if not scan.trains:
        left_out |= {"trainer-smoke-cpu", "trainer-smoke-cuda"}
        why.append("Nothing trains here: `trainer-smoke-cpu` and `-cuda` have nothing to try.")
    return tuple(gate for gate in settings.gates if gate not in left_out), tuple(why)


def _pyproject(root: Path) -> dict[str, Any]:
    path = root / SETTINGS
    return tomli.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _table(data: dict[str, Any], *names: str) -> dict[str, Any]:
    """A table within tables; empty where something else has its name."""
    for name in names:
        inner = data.get(name)
        data = inner if isinstance(inner, dict) else {}
    return data


def _install(root: Path, pyproject: dict[str, Any]) -> tuple[str, ...]:
    """How the project is installed: as a package, or else what its requirements file names."""
    packaged = "project" in pyproject or "build-system" in pyproject
    if packaged or "poetry" in _table(pyproject, "tool"):
        return ("-e", ".")
    if any((root / name).is_file() for name in _PACKAGED):
        return ("-e", ".")
    return ("-r", "requirements.txt") if (root / "requirements.txt").is_file() else ()


def _for_tests(paths: Iterable[str], pyproject: dict[str, Any]) -> tuple[str, ...]:
    extras = _table(pyproject, "project", "optional-dependencies")
    groups = _table(pyproject, "dependency-groups")
    there = set(paths)
    for name in _FOR_TESTS:
        if name in extras:
            return ("-e", f".[{name}]")
        if name in groups:
            return ("--group", name)
        for file in (
            f"requirements-{name}.txt",
            f"requirements_{name}.txt",
            f"{name}-requirements.txt",
            f"{name}_requirements.txt",
            f"requirements/{name}.txt",
        ):
            if file in there:
                return ("-r", file)
    return ()


def _program(tree: Tree, scan: Scan) -> str:
    """The program that trains: the one named so nearest to the root, or where the kind was seen."""
    roles = {file.path: file.role for file in tree.files if file.role in CODE_ROLES}
    named = [path for path in roles if _TRAINS.match(path.rpartition("/")[2])]
    seen = [place.path for place in scan.kind.evidence if roles.get(place.path) == "script"]
    shown = sorted(named, key=lambda path: (path.count("/"), path)) or seen
    return shown[0] if shown else "your_program.py"


def _python(pyproject: dict[str, Any]) -> int:
    wanted = re.search(
        r"(?:>=|~=|==)\s*3\.(\d+)", str(_table(pyproject, "project").get("requires-python"))
    )
    return max(_OLDEST, int(wanted.group(1)) if wanted else _OLDEST)


def _call(found: Project) -> str:
    """The call of `register` with what differs from its defaults, as ruff would format it."""
    arguments = []
    if found.install != ("-e", "."):
        arguments.append(f"project={_tuple(found.install)}")
    if found.for_tests:
        arguments.append(f'requirements={{"tests": {_tuple(found.for_tests)}}}')
    line = f"register({', '.join(arguments)})"
    if len(line) <= _WIDTH:
        return line
    return "\n".join(["register(", *(f"    {each}," for each in arguments), ")"])


def _tuple(words: tuple[str, ...]) -> str:
    inner = ", ".join(json.dumps(word) for word in words)
    return f"({inner},)" if len(words) == 1 else f"({inner})"


def _render(name: str, values: dict[str, Any]) -> str:
    import jinja2  # noqa: PLC0415 - of all commands only this one and the documents need it

    source = resources.files("codex_audit") / "templates" / f"{name}.j2"
    environment = jinja2.Environment(
        # Code and TOML, not HTML; and GitHub's `${{ }}` are to stay as they are.
        autoescape=False,  # noqa: S701 # nosec B701
        variable_start_string="<<",
        variable_end_string=">>",
        block_start_string="<%",
        block_end_string="%>",
        trim_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.from_string(source.read_text(encoding="utf-8")).render(values)


def _noxfile(root: Path, text: str, found: Project) -> Part:
    path = root / NOXFILE
    if _write(path, text):
        return Part(NOXFILE, Done.WRITTEN)
    there = path.read_text(encoding="utf-8", errors="replace")
    if "codex_audit.sessions" in there:
        return Part(NOXFILE, Done.THERE)
    taken = [name for name in _sessions(there) if name in {*found.gates, "audit", "audit-report"}]
    note = ""
    if taken:
        note = (
            f"it has sessions of the same name ({', '.join(taken)}), which nox would replace: "
            "rename them, or leave those gates out of `gates`"
        )
    return Part(NOXFILE, Done.TO_ADD, text.partition('"""\n\n')[2], note)


def _sessions(text: str) -> list[str]:
    """The names of the sessions that a noxfile defines by a decorator."""
    try:
        functions = [each for each in ast.parse(text).body if isinstance(each, ast.FunctionDef)]
    except (SyntaxError, ValueError, RecursionError):
        return []
    names = []
    for function in functions:
        for decorator in function.decorator_list:
            call = decorator if isinstance(decorator, ast.Call) else None
            if ast.unparse(call.func if call else decorator).split(".")[-1] != "session":
                continue
            named = [word.value for word in (call.keywords if call else ()) if word.arg == "name"]
            constant = named[0] if named else ast.Constant(function.name)
            if isinstance(constant, ast.Constant):
                names.append(str(constant.value))
    return names


def _settings(root: Path, text: str) -> Part:
    if _write(root / SETTINGS, text):
        return Part(SETTINGS, Done.WRITTEN)
    if has_settings(root):
        return Part(SETTINGS, Done.THERE)
    return Part(SETTINGS, Done.TO_ADD, text)


def _workflow(root: Path, text: str) -> Part:
    path = root / WORKFLOW
    path.parent.mkdir(parents=True, exist_ok=True)
    if not _write(path, text):
        there = "audit-report" in path.read_text(encoding="utf-8", errors="replace")
        return Part(WORKFLOW, Done.THERE) if there else Part(WORKFLOW, Done.TO_ADD, text)
    notes = []
    if from_this_machine():
        notes.append(
            f"it installs {published()}, for this one came from a path of this machine: put an "
            "address that CI reaches in its place, unless that is on your index"
        )
    top = repository_of(root.resolve())
    if top is not None and top != root.resolve():
        notes.append(f"GitHub reads it only in {top}, the top of this repository")
    return Part(WORKFLOW, Done.WRITTEN, note="; ".join(notes))


def _write(path: Path, text: str) -> bool:
    """Write a file that is not there; False where something is, even a link that leads nowhere."""
    try:
        with path.open("x", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
    except FileExistsError:
        return False
    return True
