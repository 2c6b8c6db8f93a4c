"""What changed between two documents, as Markdown that is as readable without a renderer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_audit.report.diff import Effect
from codex_audit.report.escaping import code, text

if TYPE_CHECKING:
    from codex_audit.report.diff import Cause, Change, Difference


def render(difference: Difference) -> str:
    """The difference: what decides the answers, how many changes, and then each."""
    old, new = difference.old, difference.new
    lines = [f"# {text(new.project)}: what changed", ""]
    if old.project != new.project:
        lines += [f"These are two projects: {text(old.project)} and {text(new.project)}.", ""]
    lines += [
        f"- {word}: {code(each.file)}, made {each.made}, verdict {each.verdict}"
        for word, each in (("Old", old), ("New", new))
    ]
    lines += [f"- {cause.what.capitalize()}: {cause.said}" for cause in difference.causes]
    lines += [f"- Not compared: {text(what)}" for what in difference.not_compared]
    lines += ["", _summary(difference)]
    for effect, title in (
        (Effect.WORSE, "Regressions"),
        (Effect.BETTER, "Improvements"),
        (Effect.OTHER, "Other changes"),
    ):
        changes = difference.of(effect)
        if changes:
            lines += ["", f"## {title}", "", *(_line(change) for change in changes)]
    return "\n".join(lines) + "\n"


def _summary(difference: Difference) -> str:
    if not difference.changes:
        return "Nothing that the documents say of capabilities, criteria or gates changed."
    counts = []
    for effect in Effect:
        count = len(difference.of(effect))
        counts.append(f"{count} {effect}{'' if count == 1 else 's'}")
    return f"{', '.join(counts)}. {_due(difference.causes)}"


def _due(causes: tuple[Cause, ...]) -> str:
    """To what the changes can be traced."""
    suspects = [cause.what for cause in causes if cause.changed is not False]
    if not suspects:
        return (
            "Neither the tree, the catalog nor the settings changed: the differences are those of "
            "the gates' runs (their tools, machine or chance)."
        )
    if len(suspects) == 1:
        maybe = " may have" if any(cause.changed is None for cause in causes) else ""
        return f"Of what decides them, only the {suspects[0]}{maybe} changed."
    several = f"{', '.join(suspects[:-1])} and {suspects[-1]}"
    if "catalog" in suspects:
        return (
            f"More than one cause ({several}): `codex-audit scan` of the old tree with the new "
            "version tells them apart."
        )
    return f"More than one cause: {several}."


def _line(change: Change) -> str:
    kind = f"{change.what} " if change.what in {"gate", "check"} else ""
    same = change.before == change.after
    turn = change.after if same else f"{change.before} → {change.after}"
    line = f"- {kind}**{text(change.name)}**: {turn}"
    if change.note:
        line += f": {text(change.note)}"
    for place in change.evidence:
        line += f"\n  - {code(place)}"
        if place.snippet:
            line += f" {code(place.snippet)}"
    return line
