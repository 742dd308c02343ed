"""A data set and a measure for modecov."""
