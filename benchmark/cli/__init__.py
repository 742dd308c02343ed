"""The command line ``python -m benchmark COMMAND``: one file per command, and shared parts."""

from __future__ import annotations

from benchmark.cli.main import main

__all__ = ["main"]
