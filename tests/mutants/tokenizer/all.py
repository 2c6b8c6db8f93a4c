"""Every mutant, whichever file it is in."""

from __future__ import annotations

from mutants.tokenizer import (
    mutants_batches,
    mutants_calls,
    mutants_files,
    mutants_more,
    mutants_text,
)
from mutants.tokenizer.registry import MUTANTS, Mutant

__all__ = [
    "MUTANTS",
    "Mutant",
    "mutants_batches",
    "mutants_calls",
    "mutants_files",
    "mutants_more",
    "mutants_text",
]
