"""Demonstrations about the Wasserstein distance and its critic."""
