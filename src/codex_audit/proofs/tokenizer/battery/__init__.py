"""The proofs of the tokenizer battery, one module each with its `PROOF`."""
