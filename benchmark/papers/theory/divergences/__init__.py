"""Demonstrations about KL and JS divergences, and distributions on thin sets."""
