"""Train blocks of runs and write their records."""
