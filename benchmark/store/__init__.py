"""What is on disk: records, samples, locks."""
