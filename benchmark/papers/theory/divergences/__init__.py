"""Demonstrations about the KL and JS divergences, and about distributions on low-dimensional sets."""
