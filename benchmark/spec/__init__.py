"""Immutable descriptions without input or output: table, protocol, run, block, selection, claim, demonstration."""
