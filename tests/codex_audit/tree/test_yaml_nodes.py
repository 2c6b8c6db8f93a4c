from __future__ import annotations

import pytest

from codex_audit.tree.yaml_nodes import Node, documents


def told(node: Node) -> object:
    if node.kind == "scalar":
        return node.text
    return [told(child) for child in node.children]


def test_documents_are_put_together_with_their_lines() -> None:
    first, empty, last = documents(b"a: &x [1, 2]\nb: *x\n---\n# empty\n---\n- |\n  text\n")
    assert told(first) == ["a", ["1", "2"], "b", ["1", "2"]]
    assert [child.line for child in first.children] == [1, 1, 2, 1]
    assert first.children[1] is first.children[3]
    assert (empty.kind, empty.text) == ("scalar", "")
    assert [(item.text, item.style, item.line) for item in last.children] == [("text\n", "|", 6)]


def test_an_alias_that_refers_to_nothing() -> None:
    with pytest.raises(ValueError, match=r"line 2: \*x refers to no anchor"):
        list(documents(b"a: 1\nb: *x\n"))
    with pytest.raises(ValueError, match="refers to no anchor"):
        list(documents(b"a: &x 1\n---\n*x\n"))  # anchors end with their document


@pytest.mark.parametrize("opening", [b"[", b"- ", b"{a: ", b"? "])
def test_no_depth_ends_the_process(opening: bytes) -> None:
    with pytest.raises(ValueError, match="nested deeper than 200 levels"):
        list(documents(opening * 100_000))
