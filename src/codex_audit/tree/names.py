"""What the names in Python source refer to: aliases, instances, relative imports."""

from __future__ import annotations

import ast


def module_name(path: str) -> str:
    """The dotted module of a POSIX path, without a leading `src`."""
    parts = path.removesuffix(".py").split("/")
    if parts[0] == "src" and len(parts) > 1:
        parts = parts[1:]
    if parts[-1] == "__init__":
        parts = parts[:-1]
    return ".".join(parts)


def plain(name: str) -> str:
    """A name without a version of TensorFlow's API: `tensorflow.compat.v1.Graph` is its `Graph`."""
    head, _, tail = name.partition(".compat.")
    if head != "tensorflow" or tail[:2] not in {"v1", "v2"}:
        return name
    return f"tensorflow{tail[2:]}" if tail[2:3] in {"", "."} else name


class Scope:
    """Names known at one place: import aliases, and instances, marked as `Class()`."""

    def __init__(self, name: str, outer: Scope | None, *, is_class: bool = False) -> None:
        self.name = name
        self.outer = outer
        self.known: dict[str, str] = {}
        self.is_class = is_class

    def find(self, name: str) -> str | None:
        """What `name` is known to be here or further out; none when it is not."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.known:
                return scope.known[name]
            scope = scope.outer
        return None


def dotted(node: ast.expr, scope: Scope) -> tuple[str, str]:
    """The resolved and the written name of an expression; `?` for what has no name."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        written = ".".join([node.id, *reversed(parts)])
        if node.id == "self" and parts:
            known = scope.find(f"self.{parts[-1]}")
            if known is not None:
                return _resolved(known, parts[-2::-1], written), written
        known = scope.find(node.id)
        return (_resolved(known, parts[::-1], written) if known else written), written
    if isinstance(node, ast.Call):
        inner, _ = dotted(node.func, scope)
        tail = ".".join(reversed(parts))
        if inner.rpartition(".")[2][:1].isupper() or inner == "super":
            return f"{inner}.{tail}", f"?.{tail}"
        return f"?.{tail}", f"{inner}.{tail}"
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name | ast.Attribute):
        # An item is named for what holds it: `optimizers[i].step` is written of optimizers.
        _, holder = dotted(node.value, scope)
        known_as = ".".join([holder, *reversed(parts)]) if holder and parts else ""
        return ".".join(["?", *reversed(parts)]), known_as
    return ".".join(["?", *reversed(parts)]), ""


def made_by(value: ast.expr | None, scope: Scope) -> str | None:
    """The class whose call gives `value`, where it is one: its name is capitalised."""
    if isinstance(value, ast.Call):
        name, _ = dotted(value.func, scope)
        last = name.rpartition(".")[2]
        if last[:1].isupper() and not name.startswith(("?", "self.")):
            return f"{name}()"
        head, _, _ = name.rpartition(".")
        if last == "from_pretrained" and head.rpartition(".")[2][:1].isupper():
            return f"{head}()"
    return None


def annotated_class(annotation: ast.expr | None, scope: Scope) -> str | None:
    """What a parameter is an instance of, by an annotation that names an imported class."""
    if isinstance(annotation, ast.Name | ast.Attribute):
        name, _ = dotted(annotation, scope)
        if "." in name and name.rpartition(".")[2][:1].isupper():
            return f"{name}()"
    return None


def _resolved(known: str, attributes: list[str], written: str) -> str:
    """A known name with attributes; `Class()` marks an instance, which is no name by itself."""
    if not attributes:
        return written if known.endswith("()") else known
    return plain(".".join([known.removesuffix("()"), *attributes]))
