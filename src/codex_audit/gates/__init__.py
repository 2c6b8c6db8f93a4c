"""The gates: one module each, found by name, with one `GATE` declared at its top level."""
