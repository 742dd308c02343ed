"""A method for modecov."""
