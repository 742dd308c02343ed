"""LightningDataModules: data sets as training data, in seeded batches on the seeds axis."""
