"""Subjects with one defect each, and the proofs that must catch them."""
