"""One module a library, each with its `ADAPTER`; a new one is found by being here."""
