"""Writing the documents: rendered whole first, then each put in place at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_audit.outcome import write_atomically
from codex_audit.report.formats import all_formats
from codex_audit.report.manifest import FILENAME, manifest
from codex_audit.report.phases import packaged

if TYPE_CHECKING:
    from pathlib import Path

    from codex_audit.report.document import StatusDocument


def write_report(
    document: StatusDocument, out: Path, outcomes_dir: Path | None = None
) -> list[Path]:
    """Write every format and then the manifest into `out`; return their paths in that order.

    Nothing is written before everything is rendered, and no reader sees half a file.

    Args:
        document: what to write.
        out: the directory of the documents, made where there is none.
        outcomes_dir: the outcomes that were merged, for the manifest; `out/outcomes` by default.

    Raises:
        OSError: `out` cannot be made, read or written to.
    """
    formats = sorted(all_formats().values(), key=lambda each: each.filename)
    whole = packaged(document, [each.filename for each in formats])
    documents = {each.filename: each.render(whole).encode() for each in formats}
    digests = manifest(
        out, documents, outcomes_dir or out / "outcomes", document.provenance.tree_digest
    )
    written = []
    for filename, data in {**documents, FILENAME: digests}.items():
        write_atomically(out / filename, data)
        written.append(out / filename)
    return written
