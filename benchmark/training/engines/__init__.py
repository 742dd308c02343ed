"""Engines: train blocks in this process, in several local processes or on a Ray cluster."""
