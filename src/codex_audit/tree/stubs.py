"""Which functions are stubs: their body only says that there is none yet."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# Declared without a body on purpose: abstract methods, overloads.
_EXEMPT_DECORATORS = frozenset({"abstractmethod", "abstractproperty", "overload"})
_EXEMPT_BASES = frozenset({"Protocol"})


def is_stub(
    node: ast.FunctionDef | ast.AsyncFunctionDef,
    decorators: Sequence[str],
    *,
    only_raise: bool = False,
) -> bool:
    """Whether the body, less its docstring, is only `pass`, `...` or `raise NotImplementedError`.

    Abstract methods and overloads are none. With `only_raise`, only the last form counts.
    """
    if any(name.rpartition(".")[2] in _EXEMPT_DECORATORS for name in decorators):
        return False
    body = node.body
    if ast.get_docstring(node, clean=False) is not None:
        body = body[1:]
    if not body:
        return False  # a docstring alone documents a deliberate no-op
    return all(_says_nothing(statement, only_raise=only_raise) for statement in body)


def is_exempt_class(bases: Sequence[str]) -> bool:
    """Whether methods of a class with these bases are declarations: a protocol's members."""
    return any(base.rpartition(".")[2] in _EXEMPT_BASES for base in bases)


def _says_nothing(node: ast.stmt, *, only_raise: bool) -> bool:
    if isinstance(node, ast.Raise):
        raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        return isinstance(raised, ast.Name) and raised.id == "NotImplementedError"
    if only_raise:
        return False
    if isinstance(node, ast.Pass):
        return True
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and node.value.value is Ellipsis
    )
