"""Cores and memory that this process may use, with the limits of its control groups (containers, Slurm)."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

#: Linux files with a process's control groups, their limits and the free memory; other systems lack them.
_MEMBERSHIP, _MOUNT, _MEMINFO = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"), Path("/proc/meminfo")


def usable_cores() -> int:
    """Return the number of cores that this process may use: those of its CPU affinity, limited by its CPU quota.

    The quota is rounded, with halves rounded up: two processes use a quota of 1.5 cores fully, one would not.
    """
    if sys.version_info >= (3, 13):
        cores = os.process_cpu_count() or 1
    elif sys.platform == "linux":
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, int(min(cores, _cpu_quota()) + 0.5))


def free_memory() -> int:
    """Return the bytes that this process and its children can still allocate, control groups considered."""
    free = _available()
    for group in _groups("memory"):
        for limit_file, used_file, cache in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            limit, used = _number(group / limit_file), _number(group / used_file)
            if limit is not None and used is not None:
                # The kernel frees cached file pages before it kills a process, so they do not count as used.
                free = min(free, limit - max(0, used - _entry(group / "memory.stat", cache)))
    return max(0, free)


def _cpu_quota() -> float:
    """Return the CPU quota of the control groups in cores; infinite without one."""
    quota = float("inf")
    for group in _groups("cpu"):
        with contextlib.suppress(OSError, ValueError):
            # Control groups v2: "150000 100000", or "max 100000" without a quota.
            share, period = (group / "cpu.max").read_text().split()
            quota = min(quota, int(share) / int(period))
        share_v1, period_v1 = _number(group / "cpu.cfs_quota_us"), _number(group / "cpu.cfs_period_us")
        # In control groups v1, -1 means no quota.
        if share_v1 and period_v1 and share_v1 > 0:
            quota = min(quota, share_v1 / period_v1)
    return quota


def _groups(controller: str) -> Iterator[Path]:
    """List the folders of this process's control groups (v1 and v2) and of their parents, as each may set a limit."""
    try:
        lines = _MEMBERSHIP.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, place = line.split(":", 2)
        if not controllers:
            mounts = [_MOUNT, _MOUNT / "unified"]
        elif controller in controllers.split(","):
            mounts = [_MOUNT / controllers, _MOUNT / controller]
        else:
            continue
        for mount in mounts:
            group = Path(place.lstrip("/"))
            # Inside a container the path may be the host's, and only the root folder exists.
            yield from (mount / part for part in (group, *group.parents) if (mount / part).is_dir())


def _available() -> int:
    """Return the bytes of memory that the machine has left."""
    found = _entry(_MEMINFO, "MemAvailable:")
    return 1024 * found if found else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _number(path: Path) -> int | None:
    """Return the number in a file; None if there is none."""
    with contextlib.suppress(OSError, ValueError):
        return int(path.read_text())
    return None


def _entry(path: Path, name: str) -> int:
    """Return the number after a name in a file with one entry per line; 0 if there is none."""
    with contextlib.suppress(OSError, ValueError):
        for line in path.read_text().splitlines():
            words = line.split()
            if words and words[0] == name:
                return int(words[1])
    return 0
