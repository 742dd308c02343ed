"""The command line: ``python -m benchmark COMMAND``. A file for each command, and what they share."""

from __future__ import annotations

from benchmark.cli.main import main

__all__ = ["main"]
