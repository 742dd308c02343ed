"""Compute numbers from records: result tables, statistics, curves and verdicts on claims."""
