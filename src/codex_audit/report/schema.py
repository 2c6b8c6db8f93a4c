"""`docs/outcome.schema.json`: the published JSON Schema of an outcome file."""

from __future__ import annotations

import json

from codex_audit.outcome import SCHEMA_VERSION, json_schema


def schema_text() -> str:
    """The schema, as the file in `docs/` must read.

    Writers always state `schema_version` and readers refuse a file without it, so it is required
    here although the type has a default.
    """
    schema = json_schema()
    definition = schema["$defs"]["Outcome"]
    definition["required"] = ["schema_version", *definition["required"]]
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"codex-audit outcome {SCHEMA_VERSION}",
        **schema,
    }
    return json.dumps(whole, indent=2) + "\n"
