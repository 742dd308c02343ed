"""One file for each command: a dataclass of options, and run(options)."""
