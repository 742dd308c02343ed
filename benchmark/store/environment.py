"""Environment of a record: commit, versions, hardware."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

_LIBRARIES = ("torch", "pytorch-lightning", "torchmetrics", "numpy", "scipy", "pandas")


def environment() -> dict[str, Any]:
    """Commit, versions of libraries, processor and threads of this process."""
    import torch

    return {**_of_process(), "threads": torch.get_num_threads()}


def take_commit(commit: dict[str, Any]) -> None:
    """Use this commit (``commit``, ``dirty``) from now on instead of asking git.

    A worker process calls it with the commit of the process that gives it work.
    """
    _of_process().update(commit)


@cache
def _of_process() -> dict[str, Any]:
    return {
        **_commit(),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in _LIBRARIES},
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
    }


def processor() -> str:
    """Name of the processor as the system reports it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        if names:
            return names[0]
    return platform.processor() or platform.machine()


def gpu() -> str:
    """Name of the GPU that training uses; empty if PyTorch finds none."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return "Apple's GPU" if torch.backends.mps.is_available() else ""


def _commit() -> dict[str, Any]:
    """Commit of the checkout that contains this code, and whether it has changes; None for an installed package."""
    here = Path(__file__).resolve().parent

    # A hook of git, say, names another repository by GIT_DIR.
    variables = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}

    def git(*words: str) -> str:
        command = ["git", "-C", str(here), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, env=variables).stdout.strip()

    try:
        # Results are written while others run: they do not make the code another one.
        changed = git("status", "--porcelain", "--", ":(top,exclude)results")
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(changed)}
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "dirty": None}
