"""Processes that start at once, as everything is imported already, and that may be killed."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
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
