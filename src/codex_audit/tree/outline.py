"""What a Python file defines, and what of the repository each part of it uses."""

from __future__ import annotations

import ast
import builtins
import io
import re
import sys
from bisect import bisect
from typing import TYPE_CHECKING

import msgspec

from codex_audit.tree.names import dotted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from codex_audit.tree.names import Scope

# What starts a program; the test that calls it may name a script of the repository.
_STARTS = re.compile(
    r"(subprocess|sh|script_runner|testdir|pytester)\.\w+|os\.(system|popen|spawn\w+|exec\w+)"
    r"|runpy\.run_\w+|asyncio\.create_subprocess_\w+"
)
_PATCHES = re.compile(r"(.*\.)?(patch|patch\.(object|dict|multiple)|monkeypatch\.setattr)")
_SCRIPT = re.compile(r"[\w./-]+\.py")
# They are nobody's own code, but where a folder of that name is audited.
_OTHERS = frozenset(sys.stdlib_module_names) | {
    "torch", "numpy", "pytest", "transformers", "jax", "tensorflow", "scipy", "pandas", "PIL",
    "tqdm", "matplotlib", "datasets", "accelerate", "wandb", "yaml", "sklearn", "requests",
}  # fmt: skip


_OWN = frozenset({"self", "cls", "super"})
_BUILTINS = frozenset(dir(builtins))
# Methods of what anybody is given: nothing is known of who has them.
_COMMON = frozenset().union(*map(dir, (str, bytes, list, dict, set, io.IOBase, io.TextIOBase)))


class Unit(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A function, a method or a class of a file; `""` is what is outside of them.

    Functions inside a function belong to it.

    Attributes:
        first, last: its lines, decorators included.
        uses: what it calls, and the first line that does: names as in facts; `?.name` is a method
            of nobody knows what, not noted of tests. Of a test also `&name` for a function that is
            handed on, `run:`, `file:` and `config:` for what it runs and names.
        bases: of a class.
        tags: `class`, `fixture`, `skip`, `patch` (it replaces parts), `starts` (a program).
        unsure: first and last lines of what does not run each time: branches, what follows
            a return in one, handlers, functions inside the function.
    """

    name: str
    first: int
    last: int
    uses: dict[str, int]
    bases: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    unsure: tuple[tuple[int, int], ...] = ()

    def surely(self, line: int) -> bool:
        """Whether that line of it runs whenever it does, as far as reading tells."""
        at = bisect(self.unsure, (line, sys.maxsize)) - 1
        return at < 0 or line > self.unsure[at][1]


class Outline(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The units of a file, and what its top level imports: name -> module and symbol."""

    units: tuple[Unit, ...] = ()
    imports: dict[str, str] = {}
    stars: tuple[str, ...] = ()


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Outline)


def packed(outline: Outline) -> bytes:
    """An outline as bytes; none of a file that is no Python."""
    return _ENCODER.encode(outline) if outline.units else b""


def unpacked(outline: bytes) -> Outline:
    """An outline from its bytes."""
    return _DECODER.decode(outline) if outline else Outline()


class _Open:
    """A unit that the walker is in."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.uses: dict[str, int] = {}
        self.tags: set[str] = set()
        # By their lines; those that follow upon each other never overlap.
        self.unsure: list[tuple[int, int]] = []
        self._doubtful: set[str] = set()

    def use(self, name: str, line: int) -> None:
        """A call in that line: the first is kept, or the first of those that are sure."""
        unsure = self.unsure
        doubtful = bool(unsure) and unsure[-1][0] <= line <= unsure[-1][1]
        if name not in self.uses:
            self.uses[name] = line
            if doubtful:
                self._doubtful.add(name)
        elif not doubtful and name in self._doubtful:
            self.uses[name] = line
            self._doubtful.remove(name)

    def closed(self, first: int, last: int, bases: tuple[str, ...]) -> Unit:
        """The unit, which ends here."""
        tags = tuple(sorted(self.tags))
        return Unit(self.name, first, last, self.uses, bases, tags, tuple(self.unsure))


class Outliner:
    """Notes what is used while a file is walked: its walker says where it is and what it sees."""

    def __init__(self, path: str, role: str) -> None:
        self.testing = role == "test"
        self._external = _OTHERS if not self.testing else frozenset(sys.stdlib_module_names)
        self._external -= set(re.split(r"[/.]", path))
        # First parts of names that may lead into the repository, and the names bound to such.
        self._heads: set[str] = set()
        self._bound: set[str] = {"self"}
        self._imported: set[str] = set()
        self._stars: list[str] = []
        self._units: list[Unit] = []
        self._here = _Open("")
        self._outer: list[_Open] = []
        # How many functions are open inside the unit.
        self._inside = 0
        # Files that a test makes for itself are not the repository's.
        self._made: set[str] = set()

    def module(self, tree: ast.Module) -> None:
        """Before the walk: the names that its top level defines."""
        defined = [
            node.name
            for node in tree.body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        ]
        self._heads.update(defined)
        self._bound.update(defined)

    def imported(self, name: str, bound: str) -> None:
        """An import of `name`, a module or what is in it, which is then called `bound`."""
        self._imported.add(bound)
        head = name.partition(".")[0]
        if head not in self._external:
            self._heads.add(head)
            self._bound.add(bound)
            if bound == "*":
                self._stars.append(name.removesuffix(".*"))

    def enter(
        self,
        node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef,
        decorators: Iterable[str],
        bases: tuple[str, ...] | None = None,
    ) -> None:
        """A function begins, or with `bases` a class."""
        if self._inside:
            self._inside += 1
            self._at_times(node, node)
            return
        tags = set() if bases is None else {"class"}
        for decorator in decorators:
            last = decorator.rpartition(".")[2]
            if last in {"fixture", "skip"}:
                tags.add(last)
            elif _PATCHES.fullmatch(decorator):
                tags.add("patch")
        self._outer.append(self._here)
        self._here = _Open(f"{self._here.name}.{node.name}".lstrip("."))
        self._here.tags = tags
        if bases is None:
            self._inside = 1

    def leave(
        self,
        node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef,
        bases: tuple[str, ...] = (),
    ) -> None:
        """The function or class ends."""
        if self._inside > 1:
            self._inside -= 1
            return
        self._inside = 0
        first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
        last = node.end_lineno or node.lineno
        self._units.append(self._here.closed(first, last, bases))
        self._here = self._outer.pop()

    def branch(self, node: ast.If) -> None:
        """A condition: what stands in it, and what follows where it returns, runs at times."""
        left = getattr(node.test, "left", None)
        if left.__class__ is ast.Name and left.id == "__name__":
            return
        self._at_times(node.body[0], node.orelse[-1] if node.orelse else node.body[-1])
        if node.body[-1].__class__ is ast.Return:
            self._at_times(node, None)

    def at_times(self, body: list[ast.stmt]) -> None:
        """The body of a handler or a case."""
        self._at_times(body[0], body[-1])

    def _at_times(self, first: ast.stmt, last: ast.stmt | None) -> None:
        """Those lines, or all that follow `first`; those inside of others are not noted again."""
        unsure = self._here.unsure
        start = first.lineno if last else (first.end_lineno or first.lineno) + 1
        if not unsure or start > unsure[-1][1]:
            unsure.append((start, last.end_lineno or last.lineno if last else sys.maxsize))

    def called(self, name: str, node: ast.Call, scope: Scope) -> None:
        """A call of `name`, as facts have it."""
        head, dot, rest = name.partition(".")
        if dot:
            if head in self._heads:
                self._here.use(name, node.lineno)
            elif head in _OWN and "." not in rest:
                made = scope.find(name)
                use = f"{made[:-2]}.__call__" if made and made[-1] == ")" else name
                self._here.use(use, node.lineno)
            elif not self.testing and rest and self._of_something(node, scope):
                self._here.use(f"?.{name.rpartition('.')[2]}", node.lineno)
        elif name in self._heads or name not in _BUILTINS:
            made = scope.find(name)
            if made and made[-1] == ")":  # an instance of that class
                if made[:-2].partition(".")[0] in self._heads:
                    self._here.use(f"{made[:-2]}.__call__", node.lineno)
            elif name in self._heads:
                self._here.use(name, node.lineno)
        if self.testing:
            self._tested(name, node)
            for argument in (*node.args, *(word.value for word in node.keywords)):
                self._handed(argument, scope)

    def _of_something(self, node: ast.Call, scope: Scope) -> bool:
        """Whether it calls a method of nobody knows what, under a name that lists do not have."""
        root: ast.expr = node.func
        if not isinstance(root, ast.Attribute) or root.attr in _COMMON:
            return False
        while isinstance(root, ast.Attribute):
            root = root.value
        if not isinstance(root, ast.Name) or root.id in self._imported:
            return False
        return scope.find(root.id) in {None, root.id}

    def _handed(self, node: ast.expr, scope: Scope) -> None:
        """An argument: a function that is handed on is called, one expects of a test."""
        root = node.value if isinstance(node, ast.Attribute) else node
        if isinstance(root, ast.Name) and root.id in self._bound:
            name, written = dotted(node, scope)
            use = written if root.id == "self" else name
            if use != "self":
                self._here.uses.setdefault(f"&{use}", node.lineno)

    def _tested(self, name: str, node: ast.Call) -> None:
        if _STARTS.fullmatch(name):
            self._here.tags.add("starts")
        elif _PATCHES.fullmatch(name):
            self._here.tags.add("patch")
        self._opens(name, node)

    def listed(self, nodes: Iterable[ast.expr], scope: Scope) -> None:
        """The elements of a list or tuple of a test: functions to try, or a command to run."""
        module = False
        for node in nodes:
            self._handed(node, scope)
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                if module and re.fullmatch(r"\w+(\.\w+)*", node.value):
                    self._here.uses.setdefault(f"run:{node.value}", node.lineno)
                module = node.value == "-m"

    def string(self, node: ast.AST, text: str) -> None:
        """A string of a test: it may name a script to run."""
        line: int = node.lineno  # type: ignore[attr-defined]
        for word in text.split():
            if _SCRIPT.fullmatch(word):
                self._here.uses.setdefault(f"run:{word}", line)
        if found := re.search(r"python[\d.]* -m (\w+(\.\w+)*)", text):
            self._here.uses.setdefault(f"run:{found.group(1)}", line)

    def made(self, node: ast.Dict | ast.BinOp) -> None:
        """A file of a test's own: a key of a dictionary, or what it puts into a temporary place."""
        if isinstance(node, ast.Dict):
            names = node.keys
        else:
            left = node.left
            while isinstance(left, ast.BinOp):
                left = left.left
            own = isinstance(left, ast.Name) and left.id.startswith(("tmp", "temp"))
            names = [node.right] if own else []
        self._made.update(
            each.value
            for each in names
            if isinstance(each, ast.Constant) and isinstance(each.value, str)
        )

    def _opens(self, name: str, node: ast.Call) -> None:
        """What a call of a test reads, by a path from where the tests are run."""
        if name in {"open", "io.open", "pathlib.Path"} and len(node.args) == 1:
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                self._here.uses.setdefault(f"file:{first.value}", node.lineno)
        for word in node.keywords:
            value = word.value
            if (
                word.arg == "config_name"
                and isinstance(value, ast.Constant)
                and isinstance(value.value, str)
            ):
                self._here.uses.setdefault(f"config:{value.value}", node.lineno)

    def outline(self, known: dict[str, str], lines: int) -> Outline:
        """All of it; `known` are the names that the top level knows at its end."""
        self._units.append(self._here.closed(1, lines, ()))
        for unit in self._units if self._made else ():
            for name in self._made:
                unit.uses.pop(f"run:{name}", None)
                unit.uses.pop(f"file:{name}", None)
        imports = {
            name: target
            for name, target in known.items()
            if name != "*" and target.partition(".")[0] in self._heads and target[-1] != ")"
        }
        return Outline(tuple(self._units), imports, tuple(self._stars))
