"""The proofs of the trainer battery, one module each with its `PROOF`."""
