"""Published bugs: the affected release is refuted with the right cause named, the fixed one passes.

    python benchmarks/bugs/run.py              every case
    python benchmarks/bugs/run.py NAME ...     some of them
    python benchmarks/bugs/run.py --list

Opt-in: each release is installed by uv into an environment of its own under `--environments`
(kept for the next time), beside this checkout. A case is a TOML file in `cases/`:

    title, reference       what the bug is, and where it was published
    gate, check            what must refute it
    word                   must occur in the summary of the refuted check
    affected, fixed        lists of requirements, one environment each
    settings               a table, written as [tool.codex-audit.TABLE]
    files                  a table of file name to content, for the audited directory
    environment            a table of environment variables, optional
    arguments              of the gate, such as the one proof to try, optional
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]
CASES = HERE / "cases"


def environment(requirements: list[str], home: Path) -> Path:
    """The interpreter of an environment with these requirements and this checkout's own."""
    wanted = [*requirements, "-e", str(CHECKOUT)]
    place = home / hashlib.sha256("\0".join(wanted).encode()).hexdigest()[:12]
    python = place / "bin" / "python"
    if not python.is_file():
        subprocess.run(["uv", "venv", "--quiet", "--clear", "--python", "3.11", place], check=True)
    # Of what is there already, nothing is done; this checkout may need more than it did.
    subprocess.run(["uv", "pip", "install", "--quiet", "--python", python, *wanted], check=True)
    return python


def tried(case: dict[str, Any], requirements: list[str], home: Path) -> dict[str, Any]:
    """The outcome of the case's gate with these requirements."""
    python = environment(requirements, home)
    arguments = case.get("arguments", [])
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        for name, content in case["files"].items():
            (root / name).write_text(content, encoding="utf-8")
        (root / "pyproject.toml").write_text(_settings(case["settings"]), encoding="utf-8")
        subprocess.run(
            [python, "-m", "codex_audit", "gate", case["gate"], "--root", root, "--", *arguments],
            env={**os.environ, **case.get("environment", {})},
            check=False,
            capture_output=True,
        )
        outcome = root / ".audit" / "outcomes" / f"{case['gate']}.json"
        found: dict[str, Any] = json.loads(outcome.read_bytes())
    return found


def judged(case: dict[str, Any], home: Path) -> bool:
    """Print what both releases gave; whether that is what the case demands."""
    good = True
    for release, verdict in (("affected", "fail"), ("fixed", "pass")):
        outcome = tried(case, case[release], home)
        checks = {check["id"]: check for check in outcome["checks"]}
        check = checks.get(case["check"])
        if check is None:
            said = "; ".join(error["message"] for error in outcome["errors"])
            check = {"verdict": "error", "summary": said}
        right = check["verdict"] == verdict and (
            verdict == "pass" or case["word"] in check["summary"]
        )
        good &= right
        mark = "as expected" if right else f"NOT as expected ({verdict})"
        print(f"  {release} {', '.join(case[release])}: {check['verdict']}, {mark}")
        print(f"    {case['check']}: {check['summary']}")
    return good


def _settings(tables: dict[str, dict[str, Any]]) -> str:
    lines = []
    for table, values in tables.items():
        lines.append(f"[tool.codex-audit.{table}]")
        # A JSON value of these kinds is a TOML value.
        lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run the named cases, or all; 1 where a release was not judged as it should be."""
    cases = {path.stem: tomllib.loads(path.read_text()) for path in sorted(CASES.glob("*.toml"))}
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="cases; all by default")
    parser.add_argument("--list", action="store_true", help="list the cases and end")
    parser.add_argument(
        "--environments", type=Path, default=Path(tempfile.gettempdir(), "codex-audit-bugs")
    )
    given = parser.parse_args()
    unknown = [name for name in given.names if name not in cases]
    if unknown:
        parser.error(f"no case {unknown[0]!r}; there are: {', '.join(cases)}")
    good = True
    for name in given.names or cases:
        print(f"{name}: {cases[name]['title']} ({cases[name]['reference']})")
        if not given.list:
            good &= judged(cases[name], given.environments)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
