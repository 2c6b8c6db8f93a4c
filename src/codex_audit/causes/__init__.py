"""Known causes of failures: small matchers, `(failure, root) -> Diagnosis | None`, by family."""
