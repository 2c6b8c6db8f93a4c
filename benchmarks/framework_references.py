"""Look up what the catalog says of frameworks in the releases that its references name.

    python benchmarks/framework_references.py --sources DIR [--framework NAME]

`DIR/<distribution>/<version>` is an unpacked wheel or source archive; what is absent is fetched
there by `pip download --no-deps` and never installed or imported. A claim that holds from a
version on must be found in it and not in the release before; one that holds until a version must
not be found in that one. Exits 1 when a reference is wrong, 2 when one could not be looked up.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from codex_audit.capabilities.catalog import load_catalog
from codex_audit.capabilities.frameworks import parsed

if TYPE_CHECKING:
    from codex_audit.capabilities.model import Claim

REFERENCE = re.compile(r"([a-z0-9-]+) (\d[\w.]*): (\S+): (.+)")
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]


class NotAvailableError(LookupError):
    """A release that is neither in the folder nor to be had."""


def numbers(version: str) -> tuple[float, ...]:
    """A release's numbers; what follows them does not order releases here."""
    return parsed(re.match(r"\d+(\.\d+)*", version)[0])  # type: ignore[index]


@cache
def releases(distribution: str) -> tuple[str, ...]:
    """The final releases of a distribution, oldest first."""
    command = [*PIP, "index", "versions", "--ignore-requires-python", distribution]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    found = re.search(r"Available versions: (.+)", listed.stdout)
    if found is None:
        raise NotAvailableError(f"{distribution}: its releases cannot be listed")
    return tuple(sorted(found[1].split(", "), key=numbers))


def unpacked(sources: Path, distribution: str, version: str) -> Path:
    """The folder of a release, fetched when it is not there."""
    folder = sources / distribution / version
    if folder.is_dir():
        return folder
    with tempfile.TemporaryDirectory() as place:
        command = [*PIP, "download", "--quiet", "--no-deps", "--ignore-requires-python"]
        subprocess.run(  # noqa: S603
            [*command, "--dest", place, f"{distribution}=={version}"],
            capture_output=True,
            check=False,
        )
        for archive in Path(place).iterdir():
            inside = Path(place, "unpacked")
            if archive.suffix == ".whl":
                shutil.unpack_archive(archive, inside, "zip")
            else:
                shutil.unpack_archive(archive, inside, filter="data")
                (inside,) = inside.iterdir()
            folder.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(inside, folder)
            return folder
    raise NotAvailableError(f"{distribution} {version}: not in {folder}, and pip cannot fetch it")


def holds(sources: Path, distribution: str, version: str, path: str, text: str) -> bool:
    """Whether `text` is in the file of that release."""
    folder = unpacked(sources, distribution, version)
    places = [place for place in (folder / path, folder / "src" / path) if place.is_file()]
    return any(text in place.read_text(encoding="utf-8", errors="replace") for place in places)


def problem(sources: Path, claim: Claim) -> str:
    """What is wrong with the reference of a claim; empty where it is right or an address."""
    found = REFERENCE.fullmatch(claim.reference)
    if found is None:
        return ""
    distribution, version, path, text = found.groups()
    if not holds(sources, distribution, version, path, text):
        return "not found"
    if claim.since:
        before = [one for one in releases(distribution) if numbers(one) < parsed(claim.since)]
        if before and holds(sources, distribution, before[-1], path, text):
            return f"found in {before[-1]} already"
    if claim.until:
        after = [one for one in releases(distribution) if numbers(one) >= parsed(claim.until)]
        if after and holds(sources, distribution, after[0], path, text):
            return f"still found in {after[0]}"
    return ""


def main() -> int:
    """Print each wrong reference and a count."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sources", type=Path, required=True)
    parser.add_argument("--framework", action="append", choices=list(load_catalog().frameworks))
    options = parser.parse_args()
    wrong = unknown = looked_up = 0
    for name, rule in load_catalog().frameworks.items():
        for claim in rule.claims if not options.framework or name in options.framework else ():
            try:
                fault = problem(options.sources, claim)
                looked_up += not claim.reference.startswith("https://")
            except NotAvailableError as error:
                unknown += 1
                print(f"{name}: not looked up: {error}")
            else:
                wrong += bool(fault)
                if fault:
                    print(f"{name}: {fault}: {claim.reference}")
    print(f"{looked_up} references looked up, {wrong} wrong, {unknown} not looked up")
    return 1 if wrong else 2 if unknown else 0


if __name__ == "__main__":
    raise SystemExit(main())
