"""Cores and memory, as control groups of both versions limit them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from benchmark.training.engines import resources

GIB = 2**30
#: As it is before ``one_core`` of conftest.py stands in for it.
usable_cores = resources.usable_cores


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of 16 cores with 8 GiB free, without limits; the folder of its control groups."""
    (tmp_path / "meminfo").write_text("MemTotal: 9999999 kB\nMemAvailable: 8388608 kB\n")
    for name, path in (("_MEMBERSHIP", "cgroup"), ("_MOUNT", "mount"), ("_MEMINFO", "meminfo")):
        monkeypatch.setattr(resources, name, tmp_path / path)
    if sys.version_info >= (3, 13):
        monkeypatch.setattr(os, "process_cpu_count", lambda: 16)
    else:
        monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(16), raising=False)
        monkeypatch.setattr(os, "cpu_count", lambda: 16)
    return tmp_path


def write(machine: Path, membership: str, files: dict[str, str]) -> None:
    (machine / "cgroup").write_text(membership)
    for name, content in files.items():
        path = machine / "mount" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")


@pytest.mark.parametrize(
    ("membership", "files", "cores"),
    [
        ("", {}, 16),
        ("0::/\n", {"cpu.max": "max 100000"}, 16),
        ("0::/\n", {"cpu.max": "200000 100000"}, 2),
        ("0::/\n", {"cpu.max": "150000 100000"}, 2),
        ("0::/\n", {"cpu.max": "10000 100000"}, 1),
        ("0::/\n", {"cpu.max": "6400000 100000"}, 16),
        # The limit of a group around this one binds, too.
        ("0::/user/job\n", {"user/job/cpu.max": "max 100000", "user/cpu.max": "300000 100000"}, 3),
        # In a container that sees its own group as the root, under the host's name.
        ("0::/docker/1234\n", {"cpu.max": "400000 100000"}, 4),
        (
            "4:cpu,cpuacct:/job\n1:name=systemd:/\n",
            {"cpu,cpuacct/job/cpu.cfs_quota_us": "250000", "cpu,cpuacct/job/cpu.cfs_period_us": "50000"},
            5,
        ),
        ("1:cpu:/\n0::/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 16),
    ],
)
def test_cores(machine: Path, membership: str, files: dict[str, str], cores: int) -> None:
    write(machine, membership, files)
    assert usable_cores() == cores


@pytest.mark.parametrize(
    ("membership", "files", "free"),
    [
        ("", {}, 8 * GIB),
        ("0::/\n", {"memory.max": "max", "memory.current": str(GIB)}, 8 * GIB),
        ("0::/\n", {"memory.max": str(4 * GIB), "memory.current": str(GIB)}, 3 * GIB),
        (
            "0::/\n",
            {
                "memory.max": str(4 * GIB),
                "memory.current": str(3 * GIB),
                "memory.stat": f"anon 5\ninactive_file {2 * GIB}",
            },
            3 * GIB,
        ),
        (
            "2:memory:/job\n",
            {
                "memory/job/memory.limit_in_bytes": str(2 * GIB),
                "memory/job/memory.usage_in_bytes": str(GIB),
                "memory/job/memory.stat": "inactive_file 0\ntotal_inactive_file 0",
            },
            GIB,
        ),
        ("0::/\n", {"memory.max": str(GIB), "memory.current": str(2 * GIB)}, 0),
    ],
)
def test_memory(machine: Path, membership: str, files: dict[str, str], free: int) -> None:
    write(machine, membership, files)
    assert resources.free_memory() == free
