"""The nodes of YAML documents, put together without recursion.

PyYAML composes nodes by recursion in C: a file of brackets would end the process. Its events come
one after the other, however deep they are nested.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

DEPTH_LIMIT = 200
_MADE = re.compile(r"!(?:new|name|apply):([A-Za-z_][\w.]*)$")


class Node:
    """A scalar with its text and style, or a container with its nodes (keys and values in turn).

    An alias is the very node that it refers to, so that nodes can contain themselves. `target` is
    what HyperPyYAML makes of it: the class or function that its tag names.
    """

    __slots__ = ("children", "kind", "line", "style", "target", "text")

    def __init__(
        self, kind: str, line: int, text: str = "", style: str | None = None, target: str = ""
    ) -> None:
        self.kind = kind
        self.line = line
        self.text = text
        self.style = style
        self.target = target
        self.children: list[Node] = []


def documents(source: bytes) -> Iterator[Node]:
    """The root node of each document that is not empty; lines are 1-based.

    Raises:
        yaml.YAMLError: it is not YAML.
        ValueError: an alias refers to nothing, or nodes are nested deeper than `DEPTH_LIMIT`.
    """
    import yaml  # noqa: PLC0415 - only trees with YAML pay for it

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    root = Node("document", 1)
    open_nodes = [root]
    anchors: dict[str, Node] = {}
    for event in yaml.parse(source, Loader=loader):
        if isinstance(event, yaml.AliasEvent):
            open_nodes[-1].children.append(_referred(event, anchors))
        elif isinstance(event, yaml.NodeEvent):
            node = _node(event)
            if event.anchor:
                anchors[event.anchor] = node
            open_nodes[-1].children.append(node)
            if node.kind != "scalar":
                open_nodes.append(node)
                if len(open_nodes) > DEPTH_LIMIT:
                    raise ValueError(f"nested deeper than {DEPTH_LIMIT} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            open_nodes.pop()
        elif isinstance(event, yaml.DocumentEndEvent):
            yield from root.children
            root.children = []
            anchors = {}


def _node(event: Any) -> Node:
    line = event.start_mark.line + 1
    kind = type(event).__name__
    made = _MADE.match(event.tag) if event.tag else None
    target = made.group(1) if made else ""
    if kind == "ScalarEvent":
        return Node("scalar", line, event.value, event.style, target)
    return Node("mapping" if kind == "MappingStartEvent" else "sequence", line, target=target)


def _referred(event: Any, anchors: dict[str, Node]) -> Node:
    node = anchors.get(event.anchor)
    if node is None:
        raise ValueError(
            f"line {event.start_mark.line + 1}: *{event.anchor[:50]} refers to no anchor"
        )
    return node
