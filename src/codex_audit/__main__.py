"""`python -m codex_audit` is the command `codex-audit`."""

from codex_audit.cli import main

if __name__ == "__main__":
    main()
