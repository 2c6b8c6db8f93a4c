"""Prose, shell scripts and Makefiles as facts."""

from __future__ import annotations

from codex_audit.tree.text_facts import markdown_facts


def test_a_paragraph_that_is_one_long_line_is_read_to_its_end() -> None:
    line = "It is small. " * 40 + "It reaches a loss of 1.2968."
    facts = [fact for fact in markdown_facts(f"# Poems\n\n{line}\n") if fact.kind == "prose"]
    assert " ".join(fact.value for fact in facts) == line
    assert all(len(fact.value) <= 300 and fact.line == 3 for fact in facts)
    assert all(fact.value.startswith("It") for fact in facts)
    word = "x" * 1000
    assert "".join(fact.value for fact in markdown_facts(word)) == word
