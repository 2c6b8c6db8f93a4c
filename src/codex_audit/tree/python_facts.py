"""Facts of Python source, in one walk of its syntax tree; nothing is imported or run."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from codex_audit.tree.facts import (
    SIGNATURE_LIMIT,
    Fact,
    FileFacts,
    Noted,
    Problem,
)
from codex_audit.tree.names import Scope, annotated_class, dotted, made_by, module_name, plain
from codex_audit.tree.outline import Outliner
from codex_audit.tree.python_expressions import Expressions, constant
from codex_audit.tree.python_source import parse, unfinished
from codex_audit.tree.reading import snippet_of
from codex_audit.tree.stubs import is_exempt_class, is_stub

if TYPE_CHECKING:
    from collections.abc import Iterator

    from codex_audit.tree.facts import Interest

_BODIES = ("finalbody", "orelse", "handlers", "cases", "body")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def python_facts(path: str, role: str, source: bytes, interest: Interest) -> FileFacts:
    """The facts of a Python file; one that does not parse has a `problem` and no facts."""
    markers = unfinished(source)
    try:
        tree, lines = parse(source)
        walker = _Walker(path, role, lines, interest)
        walker.module(tree)
    except (RecursionError, MemoryError):
        problem = Problem(1, "nested too deeply to be read")
    except SyntaxError as error:
        problem = Problem(error.lineno or 1, f"{type(error).__name__}: {error.msg}")
    except ValueError as error:
        problem = Problem(1, str(error))
    else:
        stubs = () if path.endswith(".pyi") else tuple(walker.stubs)
        return FileFacts(
            path, role, len(lines), tuple(walker.facts), stubs=stubs, markers=markers,
            outline=walker.outline,
        )  # fmt: skip
    count = len(source.splitlines())
    return FileFacts(path, role, count, (), markers=markers, problem=problem)


class _Walker(Expressions):
    def __init__(self, path: str, role: str, lines: list[bytes], interest: Interest) -> None:
        super().__init__(lines, interest, Outliner(path, role))
        self.stubs: list[Noted] = []
        self._package = module_name(path).split(".")
        if not path.endswith("__init__.py"):
            self._package = self._package[:-1]
        self._guarded = False
        self._depth = 0  # of functions and conditions: an import below them is lazy

    def module(self, tree: ast.Module) -> None:
        self._outliner.module(tree)
        self._block(tree.body)
        self.outline = self._outliner.outline(self._scope.known, len(self._lines))

    def _block(self, body: list[ast.stmt]) -> None:
        for statement in body:
            self._statement(statement)

    def _statement(self, node: ast.stmt) -> None:  # noqa: C901, PLR0912 - one branch a kind of statement
        if isinstance(node, ast.Expr):
            if not isinstance(node.value, ast.Constant):  # a docstring is no evidence
                self._expression(node.value)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            self._import(node)
        elif isinstance(node, _FUNCTIONS):
            self._function(node)
        elif isinstance(node, ast.ClassDef):
            self._class(node)
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            self._assign(node)
        elif isinstance(node, ast.If | ast.While):
            self._branches(node)
        elif isinstance(node, ast.For | ast.AsyncFor):
            if self._wants("loop", "for"):
                self._add(
                    "loop", "for", node, f"{self._text(node.target)} in {self._text(node.iter)}"
                )
            self._expression(node.iter)
            self._block(node.body)
            self._block(node.orelse)
        elif isinstance(node, ast.Try | ast.TryStar):
            self._try(node)
        elif isinstance(node, ast.With | ast.AsyncWith):
            for item in node.items:
                self._expression(item.context_expr)
                if isinstance(item.optional_vars, ast.Name):
                    self._learn(item.optional_vars, item.context_expr)
            self._block(node.body)
        elif isinstance(node, ast.Assert):
            self._test("assert", node.test)
        elif isinstance(node, ast.Raise):
            self._raise(node)
        elif isinstance(node, ast.Return):
            if node.value is not None:
                # what a call of the function is, as if it were assigned
                if self._wants("assign", "return"):
                    self._add("assign", "return", node, self._text(node.value), ("return",))
                self._expression(node.value)
        elif isinstance(node, ast.Match):
            self._expression(node.subject)
            for case in node.cases:
                self._outliner.at_times(case.body)
                self._nested(case.body)
        else:
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.expr):
                    self._expression(child)

    def _branches(self, node: ast.If | ast.While) -> None:
        # `elif` is an `if` inside `else`: long chains of them are a loop here, not recursion
        while True:
            if isinstance(node, ast.If):
                self._outliner.branch(node)
            self._test("if" if isinstance(node, ast.If) else "while", node.test)
            self._nested(node.body)
            match node.orelse:
                case [ast.If() as inner]:
                    node = inner
                case _:
                    self._nested(node.orelse)
                    return

    def _nested(self, body: list[ast.stmt]) -> None:
        self._depth += 1
        self._block(body)
        self._depth -= 1

    def _try(self, node: ast.Try | ast.TryStar) -> None:
        catches = [self._text(handler.type) if handler.type else "" for handler in node.handlers]
        outer = self._guarded
        self._guarded = outer or any(
            not text or re.search(r"ImportError|ModuleNotFoundError|\bException\b", text)
            for text in catches
        )
        self._block(node.body)
        self._guarded = outer
        for handler in node.handlers:
            self._outliner.at_times(handler.body)
            self._nested(handler.body)
        self._block(node.orelse)
        self._block(node.finalbody)

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        tag = "guarded" if self._guarded else "lazy" if self._depth else "top"
        if isinstance(node, ast.Import):
            for alias in node.names:
                bound = alias.asname or alias.name.split(".")[0]
                name = plain(alias.name)
                self._scope.known[bound] = name if alias.asname else bound
                self._outliner.imported(name, bound)
                if self._wants("import", name):
                    self._add("import", name, node, tags=(tag,))
            return
        module = node.module or ""
        if node.level:
            base = self._package[: len(self._package) - node.level + 1]
            module = ".".join([*base, *([module] if module else [])])
        for alias in node.names:
            name = plain(f"{module}.{alias.name}" if module else alias.name)
            self._scope.known[alias.asname or alias.name] = name
            self._outliner.imported(name, alias.asname or alias.name)
            if self._wants("import", name):
                self._add("import", name, node, tags=(tag,))

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        in_class = self._scope.is_class
        own = f"{self._scope.name}.{node.name}".lstrip(".")
        decorators = [self._decorator(decorator, own) for decorator in node.decorator_list]
        stub = is_stub(node, decorators) and not (in_class and is_exempt_class(self._class_bases))
        if stub:
            text = self._lines[node.lineno - 1].decode("utf-8", "replace")
            self.stubs.append(Noted(node.lineno, node.name, snippet_of(text)))
        if self._wants("def", node.name):
            tags = [*decorators, "method" if in_class else "function"]
            tags += ["stub"] if stub else []
            tags += ["raises-notimplemented"] if is_stub(node, [], only_raise=True) else []
            tags += ["async"] if isinstance(node, ast.AsyncFunctionDef) else []
            self._add(
                "def",
                node.name,
                node,
                self._parameters(node.args),
                tuple(tags),
            )
        for default in [*node.args.defaults, *node.args.kw_defaults]:
            if default is not None:
                self._expression(default)
        outer = self._scope
        self._scope = Scope(own, outer)
        for argument in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]:
            # A parameter hides what the name meant outside; its annotation may say what it is.
            self._scope.known[argument.arg] = (
                annotated_class(argument.annotation, outer) or argument.arg
            )
        self._outliner.enter(node, decorators)
        self._nested(node.body)
        self._outliner.leave(node)
        self._scope = outer

    def _parameters(self, node: ast.arguments) -> str:
        """The parameters with annotations and defaults; without their stars."""
        ordered = [*node.posonlyargs, *node.args]
        defaults: list[ast.expr | None] = [None] * (len(ordered) - len(node.defaults))
        pairs = [*zip(ordered, [*defaults, *node.defaults], strict=True)]
        pairs += [(one, None) for one in (node.vararg,) if one]
        pairs += [*zip(node.kwonlyargs, node.kw_defaults, strict=True)]
        pairs += [(one, None) for one in (node.kwarg,) if one]
        texts = [
            f"{self._text(one)}={self._text(default)}" if default else self._text(one)
            for one, default in pairs
        ]
        return ", ".join(texts)[:SIGNATURE_LIMIT]

    _class_bases: tuple[str, ...] = ()

    def _class(self, node: ast.ClassDef) -> None:
        bases = [
            dotted(base.value if isinstance(base, ast.Subscript) else base, self._scope)[0]
            for base in node.bases
        ]
        bases += [
            f"metaclass={dotted(word.value, self._scope)[0]}"
            for word in node.keywords
            if word.arg == "metaclass"
        ]
        own = f"{self._scope.name}.{node.name}".lstrip(".")
        decorators = [f"@{self._decorator(decorator, own)}" for decorator in node.decorator_list]
        outer, outer_bases = self._scope, self._class_bases
        self._scope = Scope(own, outer, is_class=True)
        if self._wants("class", node.name):  # in its own scope, where its fields and methods are
            self._add("class", node.name, node, self._text_of_bases(node), (*bases, *decorators))
        self._class_bases = tuple(bases)
        self._learn_attributes(node)
        self._outliner.enter(node, decorators, self._class_bases)
        self._block(node.body)
        self._outliner.leave(node, self._class_bases)
        self._scope, self._class_bases = outer, outer_bases

    def _text_of_bases(self, node: ast.ClassDef) -> str:
        return ", ".join(self._text(base) for base in node.bases)

    def _learn_attributes(self, node: ast.ClassDef) -> None:
        """What `self.x` is, from `self.x = Class(...)` in any method, before they are read."""
        for child in _statements(node.body):
            if isinstance(child, ast.Assign) and len(child.targets) == 1:
                target = child.targets[0]
                if (
                    isinstance(target, ast.Attribute)
                    and isinstance(target.value, ast.Name)
                    and target.value.id == "self"
                ):
                    made = made_by(child.value, self._scope)
                    if made:
                        self._scope.known[f"self.{target.attr}"] = made

    def _learn(
        self, target: ast.expr, value: ast.expr | None, annotation: ast.expr | None = None
    ) -> None:
        if isinstance(target, ast.Name):
            made = made_by(value, self._scope) or annotated_class(annotation, self._scope)
            if made:
                self._scope.known[target.id] = made
            elif target.id in self._scope.known:
                del self._scope.known[target.id]  # it is something else from here on

    def _decorator(self, node: ast.expr, decorated: str) -> str:
        """The name of a decorator, which is a fact in the scope of what it decorates."""
        name, _ = dotted(node.func if isinstance(node, ast.Call) else node, self._scope)
        if self._wants("decorator", name):
            value = self._arguments(node) if isinstance(node, ast.Call) else ""
            self.facts.append(Fact("decorator", name, node.lineno, value, decorated))
        if isinstance(node, ast.Call):
            self._expression(node)
        return name

    def _assign(self, node: ast.Assign | ast.AnnAssign | ast.AugAssign) -> None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            self._target(node, target)
            if not isinstance(node, ast.AugAssign):
                self._learn(target, node.value, getattr(node, "annotation", None))
        if node.value is not None:
            self._expression(node.value)

    def _target(self, node: ast.Assign | ast.AnnAssign | ast.AugAssign, target: ast.expr) -> None:
        if isinstance(target, ast.Tuple | ast.List):
            for part in target.elts:
                self._target(node, part)
            return
        item = isinstance(target, ast.Subscript)
        if isinstance(target, ast.Subscript):
            key = constant(target.slice)
            if key is not None and self._wants("key", key):
                self._add("key", key, node, self._text(node.value) if node.value else "")
            self._expression(target.slice)
            target = target.value
            # of one of several: `groups[0]["lr"]`
            if isinstance(target, ast.Subscript):
                self._expression(target.slice)
                target = target.value
        if isinstance(target, ast.Name | ast.Attribute):
            name, written = dotted(target, self._scope)
            if isinstance(target, ast.Name):
                name = written  # the variable itself, not what an outer name of it meant
            if self._wants("assign", name) or self._wants("assign", written):
                value = self._text(node.value) if node.value else ""
                if isinstance(node, ast.AugAssign):
                    value = f"{_OPERATORS.get(type(node.op), '?')}= {value}"
                tags: tuple[str, ...] = ("item",) if item else ()
                if isinstance(node, ast.AnnAssign):
                    tags = ("annotated", self._text(node.annotation))
                alt = written if written != name else ""
                self.facts.append(
                    Fact("assign", name, node.lineno, value, self._scope.name, tags, alt)
                )

    def _raise(self, node: ast.Raise) -> None:
        if node.exc is None:
            return
        called = isinstance(node.exc, ast.Call)
        name, _ = dotted(node.exc.func if isinstance(node.exc, ast.Call) else node.exc, self._scope)
        if self._wants("raise", name):
            self._add("raise", name, node, self._arguments(node.exc) if called else "")
        self._expression(node.exc)

    def _test(self, name: str, node: ast.expr) -> None:
        if self._wants("test", name):
            self._add("test", name, node, self._text(node))
        self._expression(node)


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a body and of all that is nested in it."""
    stack = list(reversed(body))
    while stack:
        statement = stack.pop()
        yield statement
        fields = statement.__dict__
        for name in _BODIES:
            inner = fields.get(name)
            if inner.__class__ is list:
                for part in reversed(inner):
                    # a handler and a case have a body themselves
                    stack.append(part) if isinstance(part, ast.stmt) else stack.extend(part.body)


_OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.BitOr: "|",
}  # fmt: skip
