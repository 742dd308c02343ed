"""Figures as data and drawing: one file per source document."""
