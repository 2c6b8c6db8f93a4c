"""What a mutant gives in another process with another hash seed: `python elsewhere.py NAME`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from codex_audit.proofs.tokenizer import loading
from codex_audit.proofs.tokenizer.texts import CORPUS, HARD_TEXTS
from mutants.tokenizer.all import MUTANTS

# The proofs that compare with another process, and what they compare.
ASKS = {"new_process_same_ids": "elsewhere", "training_deterministic": "trained"}


def told(name: str) -> dict[str, Any]:
    """The arguments of `tried` that come from another process; none where none is asked for."""
    argument = ASKS.get(MUTANTS[name].proof)
    if argument is None:
        return {}
    path = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, __file__, name],
        env={**os.environ, "PYTHONHASHSEED": "77", "PYTHONPATH": path},
        capture_output=True,
        check=True,
    )
    return {argument: json.loads(done.stdout)}


if __name__ == "__main__":
    subject = loading.from_object(MUTANTS[sys.argv[1]].make(), sys.argv[1])
    if ASKS[MUTANTS[sys.argv[1]].proof] == "trained":
        subject = subject.train(CORPUS)
    print(json.dumps({name: subject.encode(text) for name, text in HARD_TEXTS.items()}))
