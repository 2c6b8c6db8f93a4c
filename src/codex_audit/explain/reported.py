"""Rules that are a repository's own or a tool's: what its files and the gates' outcomes say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from codex_audit.explain.text import heading, joined, listed, named
from codex_audit.outcome import OutcomeError, read_outcome
from codex_audit.tree.reading import read_regular

if TYPE_CHECKING:
    from pathlib import Path

RULES = "semgrep_rules"
_SHOWN = 5


def semgrep_rules(root: Path) -> dict[str, str]:
    """The explanation of each rule in the repository's `semgrep_rules/`, by the rule's id.

    A file that is not of semgrep's form explains nothing: the gate says what is wrong with it.
    """
    found = {}
    for path in sorted((root / RULES).rglob("*.y*ml")):
        for rule in _rules(path):
            if isinstance(rule, dict) and isinstance(rule.get("id"), str):
                found[rule["id"]] = _rule_text(rule, path.relative_to(root).as_posix())
    return found


def _rules(path: Path) -> list[Any]:
    try:
        data = yaml.safe_load(read_regular(path))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return []
    rules = data.get("rules") if isinstance(data, dict) else None
    return rules if isinstance(rules, list) else []


def _rule_text(rule: dict[str, Any], place: str) -> str:
    found = rule.get("metadata")
    metadata = found if isinstance(found, dict) else {}
    references = metadata.get("references")
    return joined(
        heading("semgrep rule", rule["id"], _said(rule.get("message")) or "It has no message."),
        named("Severity", _said(rule.get("severity"))),
        named("Weakness", _said(metadata.get("cwe"))),
        named("Gate", "security"),
        named("Declared in", place),
        listed("See", list(map(_said, references)) if isinstance(references, list) else []),
    )


def _said(value: object) -> str:
    """A text; nothing for what is none, which aliases may make endless when it is written out."""
    return value if isinstance(value, str) else ""


def reported_text(rule: str, outcomes: Path) -> str:
    """What the gates' last outcomes found under a tool's rule; empty where they found nothing."""
    parts = []
    for path in sorted(outcomes.glob("*.json")):
        try:
            outcome = read_outcome(path)
        except OutcomeError:
            continue  # the report shows it as a captured error
        found = [finding for finding in outcome.findings if finding.rule == rule]
        if found:
            places = [f"{each.path}:{each.line}: {each.message}" for each in found[:_SHOWN]]
            more = [f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
            parts.append(
                joined(
                    heading("rule", rule, f"A rule of a tool that the gate {outcome.gate} runs."),
                    listed("Found in its last run", [*places, *more]),
                )
            )
    return "\n\n".join(parts)
