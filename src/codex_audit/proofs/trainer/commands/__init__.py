"""A trainer that is a command line, judged by what it writes: its losses and its checkpoints."""
