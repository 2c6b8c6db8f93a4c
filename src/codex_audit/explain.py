"""`codex-audit explain ID`: why a criterion, capability or gate matters and how to satisfy it."""

from __future__ import annotations

import difflib
import textwrap

from codex_audit.capabilities.catalog import load_catalog
from codex_audit.gates.base import all_gates


class UnknownIdentifierError(LookupError):
    """Nothing has that identifier; the message gives the nearest ones."""


def listing() -> str:
    """Every identifier that can be explained."""
    catalog = load_catalog()
    lines = ["Gates"]
    lines += [f"  {gate.name}: {gate.title}" for gate in all_gates().values()]
    for capability in catalog.capabilities.values():
        lines += ["", f"{capability.id}: {capability.title}"]
        lines += [
            f"  {capability.id}.{name}: {rule.question}"
            for name, rule in capability.criteria.items()
        ]
    return "\n".join(lines)


def explain_text(identifier: str) -> str:
    """What there is to say of `identifier`: a gate, a capability, or a criterion.

    A criterion is named `capability.criterion`, or by its own name where that is unambiguous.

    Raises:
        UnknownIdentifierError: nothing has that identifier.
    """
    catalog = load_catalog()
    gates = all_gates()
    if identifier in gates:
        gate = gates[identifier]
        return _block(f"gate {gate.name} (phase {gate.phase})", gate.title, ("Why", gate.why))
    if identifier in catalog.capabilities:
        rule = catalog.capabilities[identifier]
        body = _block(f"capability {rule.id}", rule.title, ("Why", rule.why))
        criteria = [f"  {name}: {one.question}" for name, one in rule.criteria.items()]
        return "\n".join([body, "", *criteria])
    known = {
        f"{capability.id}.{name}": one
        for capability in catalog.capabilities.values()
        for name, one in capability.criteria.items()
    }
    matching = [key for key in known if identifier in {key, key.partition(".")[2]}]
    if len(matching) != 1:
        choices = matching or difflib.get_close_matches(
            identifier, [*known, *(key.partition(".")[2] for key in known), *gates], n=3, cutoff=0.5
        )
        hint = (
            f"did you mean {', '.join(choices)}?" if choices else "`codex-audit explain` lists all"
        )
        raise UnknownIdentifierError(f"nothing is called {identifier!r}; {hint}")
    one = known[matching[0]]
    return _block(
        f"criterion {matching[0]}",
        one.question,
        ("Why", one.why),
        ("Remedy", one.remedy),
        ("Required", "yes" if one.required else "no"),
        ("Impact and effort", f"{one.impact} and {one.effort}, of 3"),
        ("Proven by", ", ".join(one.proven_by) or "nothing that runs; it is read from the code"),
    )


def _block(title: str, summary: str, *parts: tuple[str, str]) -> str:
    lines = [title, f"  {summary}", ""]
    for name, text in parts:
        lines += textwrap.wrap(
            f"{name}: {text}", width=92, initial_indent="  ", subsequent_indent="    "
        )
    return "\n".join(lines)
