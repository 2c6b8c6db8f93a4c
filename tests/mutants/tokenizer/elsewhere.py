"""The ids of a mutant in another process with another hash seed: `python elsewhere.py NAME`."""

from __future__ import annotations

import json
import sys

from codex_audit.proofs.tokenizer import loading
from codex_audit.proofs.tokenizer.texts import HARD_TEXTS
from mutants.tokenizer.all import MUTANTS

if __name__ == "__main__":
    subject = loading.from_object(MUTANTS[sys.argv[1]].make(), sys.argv[1])
    print(json.dumps({name: subject.encode(text) for name, text in HARD_TEXTS.items()}))
