"""Numbers from records: result tables, statistics, curves, verdicts on claims."""
