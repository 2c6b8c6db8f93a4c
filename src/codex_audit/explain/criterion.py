"""Explaining a criterion: what counts, what does not, how often its rule is right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_audit.capabilities.accuracy import Figures, load_accuracy
from codex_audit.explain.examples import example
from codex_audit.explain.signals import signal_texts
from codex_audit.explain.text import heading, joined, listed, named, quoted
from codex_audit.explain.words import load_words

if TYPE_CHECKING:
    from codex_audit.capabilities.catalog import Catalog

ABSENCE = "nothing is found that speaks against it (the criterion is about absence)"

TESTED = (
    "a test calls the code around a line that meets it, itself or by calls that depend on no "
    "condition, or runs that script; a file that is no code, where a test opens it"
)


def criterion_text(catalog: Catalog, capability: str, name: str) -> str:
    """All that there is to say of one criterion."""
    key = f"{capability}.{name}"
    rule = catalog.capabilities[capability].criteria[name]
    subject = rule.subject if rule.subject is not None else catalog.capabilities[capability].subject
    meets = example(capability, name, "meets")
    nearly = example(capability, name, "nearly")
    frameworks = [
        f"{one.title}: {claim.text}{f' ({claim.versions})' if claim.versions else ''}"
        for one in catalog.frameworks.values()
        for claim in one.claims
        if key in claim.criteria
    ]
    checks = load_words()["check"]
    proofs = [
        f"{proof}: {checks[check].what if check in checks else 'a check of that gate'}"
        for proof in rule.proven_by
        for check in [proof.partition(":")[2]]
    ]
    return joined(
        heading("criterion", key, rule.question),
        named("Added by", catalog.added.get(key, "")),
        named("Why", rule.why),
        named("Required", "yes" if rule.required else "no"),
        named(
            "Impact and effort",
            f"{rule.impact} and {rule.effort}, of 3"
            + ("; an impact of 1 where nothing is trained" if rule.of_runs else ""),
        ),
        named("Asked only where", _asked(catalog, subject)),
        named("When it is unmet", rule.gap),
        named("Remedy", rule.remedy),
        quoted("This counts", meets.files) if meets else "",
        quoted("This does not", nearly.files) if nearly else "",
        named("Met where", ABSENCE if rule.unless and not rule.met else ""),
        listed("Met where one of these is found", signal_texts(rule.met)),
        listed("Unmet where one of these is found", signal_texts(rule.unless)),
        listed("Met also through", frameworks),
        listed(
            "Mentioned where documents only speak of it",
            [
                f"in a heading, prose or shown code: /{one.value}/"
                for one in catalog.mentions.get(key, ())
                if one.prose
            ],
        ),
        named("Tested where", TESTED),
        named("Closed by", rule.kit),
        named("Accuracy", accuracy_text(key, experimental=key in catalog.experimental)),
        listed("Confirmed or refuted by", proofs)
        or named("Confirmed or refuted by", "nothing that runs; it is read from the code"),
    )


def accuracy_text(key: str, *, experimental: bool) -> str:
    """How often the rule was right over the labelled repositories, in words."""
    accuracy = load_accuracy()
    figures = accuracy.criteria.get(key, Figures())
    if figures == Figures():
        return "not measured: no labelled repository has an answer to it"
    said, there = figures.tp + figures.fp, figures.tp + figures.fn
    if not said and not there:
        return f"none of {len(accuracy.repositories)} labelled repositories has it or was said to"
    precision, recall = _ratio(figures.precision), _ratio(figures.recall)
    doubt = "; experimental: shown and not graded" if experimental else ""
    return (
        f"over {len(accuracy.repositories)} labelled repositories, precision {precision} "
        f"({figures.tp} of {said} answers `met` are right) and recall {recall} "
        f"({figures.tp} of {there} that are there were found){doubt}"
    )


def _ratio(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}"


def _asked(catalog: Catalog, subject: str) -> str:
    if not subject:
        return ""
    return f"the subject {subject} is there; else {catalog.subjects[subject].reason}"
