"""Data on disk: records, samples, locks."""
