"""From where this package was installed, as requirements that install it elsewhere."""

from __future__ import annotations

import json
from importlib.metadata import distribution

from codex_audit import __version__


def installed_from() -> str:
    """The requirement that installs this package as it was installed here."""
    record = distribution("codex-audit").read_text("direct_url.json")
    if record is None:
        return f"codex-audit=={__version__}"
    origin = json.loads(record)
    url, vcs = origin["url"], origin.get("vcs_info")
    if vcs:
        url = f"{vcs['vcs']}+{url}@{vcs['commit_id']}"
    if origin.get("subdirectory"):
        url += f"#subdirectory={origin['subdirectory']}"
    return f"codex-audit @ {url}"


def from_this_machine() -> bool:
    """Whether it came from a path, which no other machine has."""
    return " @ file:" in installed_from()


def published() -> str:
    """The requirement by which another machine installs it: never a path of this one."""
    return f"codex-audit=={__version__}" if from_this_machine() else installed_from()
