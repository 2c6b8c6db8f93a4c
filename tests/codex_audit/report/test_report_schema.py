"""The published schema is that of the types, and describes what is written."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
from status_factory import captured, finding, outcome

from codex_audit.report.schema import schema_text

PUBLISHED = Path(__file__).parents[3] / "docs" / "outcome.schema.json"


def test_the_published_schema_is_up_to_date() -> None:
    assert PUBLISHED.read_text(encoding="utf-8") == schema_text(), (
        "docs/outcome.schema.json is out of date; write schema_text() of "
        "codex_audit.report.schema to it"
    )


def test_every_field_that_is_written_is_described_and_required_ones_are_there() -> None:
    schema = json.loads(schema_text())
    written = json.loads(
        msgspec.json.encode(outcome("lint", errors=(captured(),), findings=(finding(),)))
    )
    definitions = schema["$defs"]
    for name, value in (
        ("Outcome", written),
        ("Check", written["checks"][0]),
        ("Finding", written["findings"][0]),
        ("CapturedError", written["errors"][0]),
        ("Provenance", written["provenance"]),
    ):
        assert set(value) == set(definitions[name]["properties"]), name
        assert set(definitions[name]["required"]) <= set(value), name
    assert definitions["Outcome"]["required"][0] == "schema_version"
