"""Facts of Python expressions: calls, strings, dictionaries, look-ups."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from codex_audit.tree.facts import TEXT_LIMIT, Fact, collapse
from codex_audit.tree.names import Scope, dotted

if TYPE_CHECKING:
    from codex_audit.tree.facts import Interest
    from codex_audit.tree.outline import Outliner

_STRING_LIMIT = 200
_CHILDREN = (ast.expr, ast.comprehension, ast.keyword)


class Expressions:
    """Collects the facts of expressions in `facts`, under the scope that is current."""

    def __init__(self, lines: list[bytes], interest: Interest, outliner: Outliner) -> None:
        self.facts: list[Fact] = []
        self._lines = lines
        self._wants = interest.wants
        self._outliner = outliner
        self._scope = Scope("", None)
        self._chosen: set[ast.AST] = set()  # what an `if … else …` of a line chooses

    def _text(self, node: ast.AST, limit: int = 300) -> str:
        first, last = node.lineno - 1, node.end_lineno - 1  # type: ignore[attr-defined]
        start, end = node.col_offset, node.end_col_offset  # type: ignore[attr-defined]
        most = 16 * limit  # bytes, of which at least a quarter are characters, and those are cut
        if first == last:
            raw = self._lines[first][start : min(end, start + most)]
        else:
            middle = self._lines[first + 1 : min(last, first + 40)]
            parts = [self._lines[first][start : start + most], *middle, self._lines[last][:end]]
            raw = b"".join(part[:most] for part in parts)[:most]
        return collapse(raw.decode("utf-8", "replace"), limit)

    def _add(
        self, kind: str, name: str, node: ast.AST, value: str = "", tags: tuple[str, ...] = ()
    ) -> None:
        if self._wants(kind, name):
            self.facts.append(Fact(kind, name, node.lineno, value, self._scope.name, tags))  # type: ignore[attr-defined]

    def _expression(self, node: ast.expr) -> None:
        stack: list[ast.AST] = [node]
        while stack:
            current = stack.pop()
            kind = current.__class__  # millions of them: no `isinstance` for the usual ones
            if kind is ast.Name:
                continue
            if kind is ast.Constant:
                value = current.value  # type: ignore[attr-defined]
                if value.__class__ is str:
                    self._string(current, value)
            elif kind is ast.Attribute:
                stack.append(current.value)  # type: ignore[attr-defined]
            elif isinstance(current, ast.Call):
                self._call(current)
                stack += [word.value for word in reversed(current.keywords)]
                stack += reversed(current.args)
                stack.append(current.func)
            else:
                stack += reversed(self._parts(current))

    def _parts(self, node: ast.AST) -> list[ast.AST]:
        """The facts of one expression, less those of its parts, which are returned."""
        if isinstance(node, ast.JoinedStr):
            texts = [
                str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values
            ]
            self._string(node, "".join(texts))
            return [part.value for part in node.values if isinstance(part, ast.FormattedValue)]
        if isinstance(node, ast.Dict):
            self._dict(node)
        elif isinstance(node, ast.Subscript):
            if (text := constant(node.slice)) is not None and self._wants("lookup", text):
                self._add("lookup", text, node, self._text(node.value))
        elif isinstance(node, ast.IfExp):
            self._chosen.update((node.body, node.orelse))
            if self._wants("test", "ifexp"):
                self._add("test", "ifexp", node, self._text(node.test))
        elif self._outliner.testing and isinstance(node, ast.List | ast.Tuple):
            self._outliner.listed(node.elts, self._scope)
        elif self._outliner.testing and isinstance(node, ast.BinOp):
            self._outliner.made(node)
        fields = node.__dict__
        parts: list[ast.AST] = []
        for name in node._fields:
            child = fields.get(name)
            if child.__class__ is list:
                parts += [one for one in child if isinstance(one, _CHILDREN)]
            elif isinstance(child, _CHILDREN):
                parts.append(child)
        return parts

    def _string(self, node: ast.AST, text: str) -> None:
        if len(text) > _STRING_LIMIT:
            return
        if self._wants("string", text):
            self._add("string", text, node)
        if self._outliner.testing:
            self._outliner.string(node, text)

    def _dict(self, node: ast.Dict) -> None:
        if self._outliner.testing:
            self._outliner.made(node)
        for key, value in zip(node.keys, node.values, strict=True):
            text = constant(key)
            if key is not None and text is not None and self._wants("key", text):
                self._add("key", text, key, self._text(value))

    def _call(self, node: ast.Call) -> None:
        name, written = dotted(node.func, self._scope)
        self._outliner.called(name, node, self._scope)
        alt = written if written != name else ""
        if self._wants("call", name) or (alt and self._wants("call", alt)):
            keywords = tuple((word.arg or "**", self._text(word.value)) for word in node.keywords)
            value = self._arguments(node, keywords)
            tags = ("chosen",) if node in self._chosen else ()
            self.facts.append(
                Fact("call", name, node.lineno, value, self._scope.name, tags, alt, keywords)
            )
        last = name.rpartition(".")[2]
        text = constant(node.args[0]) if node.args and last in {"get", "pop"} else None
        if text is not None and self._wants("lookup", text):
            self._add("lookup", text, node, self._text(node.func))
        if name == "dict" or last == "update":
            for word in node.keywords:
                if word.arg and self._wants("key", word.arg):
                    self._add("key", word.arg, word.value, self._text(word.value))

    def _arguments(
        self, node: ast.expr, keywords: tuple[tuple[str, str], ...] | None = None
    ) -> str:
        if not isinstance(node, ast.Call):
            return ""
        if keywords is None:
            keywords = tuple((word.arg or "**", self._text(word.value)) for word in node.keywords)
        parts = [self._text(argument) for argument in node.args]
        parts += [f"{name}={text}" for name, text in keywords]
        # Each part is on one line already.
        return ", ".join(parts)[:TEXT_LIMIT]


def constant(node: ast.expr | None) -> str | None:
    """The text of a string constant; none for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return None
