"""Demonstrations of what a text claims: one file per claim."""
