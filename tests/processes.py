"""Processes that start at once, as everything is imported already, and that may be killed."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "benchmark.cli.train",
        "benchmark.training.estimate",
        "benchmark.training.engines.runner",
        "benchmark.render.progress",
    ]
)


def start(target: Callable[..., Any], *arguments: Any) -> ForkServerProcess:
    process = CONTEXT.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


def is_alive(pid: int) -> bool:
    """Whether a process runs. One that has ended does not, even if its parent has not waited for it."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False
