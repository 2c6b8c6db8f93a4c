"""`codex-audit explain`: what each identifier that the product prints means."""
