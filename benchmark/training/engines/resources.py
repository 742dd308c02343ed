"""Cores and memory that this process may really use, the limits of its control groups (containers, Slurm) included."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

#: Where Linux shows a process's control groups and their limits; other systems have neither.
_MEMBERSHIP, _MOUNT, _MEMINFO = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"), Path("/proc/meminfo")


def usable_cores() -> int:
    """Cores that this process may use: those of its CPU affinity, and no more than its CPU quota pays for.

    A quota of one and a half cores counts as two: two processes use all of it, one would not.
    """
    if sys.version_info >= (3, 13):
        cores = os.process_cpu_count() or 1
    elif sys.platform == "linux":
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, int(min(cores, _cpu_quota()) + 0.5))


def free_memory() -> int:
    """Bytes that this process and its children can still take before the machine or a control group has no more."""
    free = _available()
    for group in _groups("memory"):
        for limit_file, used_file, cache in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            limit, used = _number(group / limit_file), _number(group / used_file)
            if limit is not None and used is not None:
                # The kernel gives cached files up before it kills anybody.
                free = min(free, limit - max(0, used - _entry(group / "memory.stat", cache)))
    return max(0, free)


def _cpu_quota() -> float:
    """Cores' worth of time that the control groups grant; infinite without a quota."""
    quota = float("inf")
    for group in _groups("cpu"):
        with contextlib.suppress(OSError, ValueError):
            # Control groups v2: "150000 100000", or "max 100000" without a quota.
            share, period = (group / "cpu.max").read_text().split()
            quota = min(quota, int(share) / int(period))
        share_v1, period_v1 = _number(group / "cpu.cfs_quota_us"), _number(group / "cpu.cfs_period_us")
        # Version 1 says -1 for no quota.
        if share_v1 and period_v1 and share_v1 > 0:
            quota = min(quota, share_v1 / period_v1)
    return quota


def _groups(controller: str) -> Iterator[Path]:
    """Folders of this process's control groups of both versions, and of those around them, as any may have a limit."""
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
            # Inside a container the path may be the host's, of which only the root is seen.
            yield from (mount / part for part in (group, *group.parents) if (mount / part).is_dir())


def _available() -> int:
    """Bytes of memory that the machine has left."""
    found = _entry(_MEMINFO, "MemAvailable:")
    return 1024 * found if found else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _number(path: Path) -> int | None:
    """The number in a file; None where there is none."""
    with contextlib.suppress(OSError, ValueError):
        return int(path.read_text())
    return None


def _entry(path: Path, name: str) -> int:
    """The number after a name in a file of one per line; 0 where there is none."""
    with contextlib.suppress(OSError, ValueError):
        for line in path.read_text().splitlines():
            words = line.split()
            if words and words[0] == name:
                return int(words[1])
    return 0
