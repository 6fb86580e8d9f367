"""How many processors there are, where a container has a quota."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from bovw.compute import threads
from bovw.compute.threads import available_jobs, processor_quota


def machine(folder: Path, files: dict[str, str]) -> Path:
    """Write a file system's view of control groups."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


V2, V1 = {"proc/self/cgroup": "0::/a/b\n"}, {"proc/self/cgroup": "4:cpu,cpuacct:/a\n0::/\n"}
TOP, CPU = "sys/fs/cgroup", "sys/fs/cgroup/cpu"


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, math.inf),
        (V2, math.inf),
        (V2 | {f"{TOP}/a/b/cpu.max": "max 100000\n"}, math.inf),
        (V2 | {f"{TOP}/a/b/cpu.max": "150000 100000\n"}, 1.5),
        (V2 | {f"{TOP}/a/b/cpu.max": "max 100000\n", f"{TOP}/a/cpu.max": "50000 100000\n"}, 0.5),
        (V2 | {f"{TOP}/cpu.max": "200000 100000\n"}, 2),
        (V2 | {f"{TOP}/cpu.max": "nonsense\n"}, math.inf),
        (V1 | {f"{CPU}/a/cpu.cfs_quota_us": "-1\n", f"{CPU}/a/cpu.cfs_period_us": "1"}, math.inf),
        (V1 | {f"{CPU}/a/cpu.cfs_quota_us": "300\n", f"{CPU}/a/cpu.cfs_period_us": "100\n"}, 3),
    ],
)
def test_quotas_of_every_kind(tmp_path: Path, files: dict[str, str], quota: float) -> None:
    assert processor_quota(machine(tmp_path, files)) == quota


@pytest.mark.parametrize(("quota", "jobs"), [(0.2, 1), (1.0, 1), (1.1, 2), (math.inf, 3)])
def test_a_quota_limits_the_jobs(monkeypatch: pytest.MonkeyPatch, quota: float, jobs: int) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {1, 2, 3}, raising=False)
    monkeypatch.setattr(threads, "processor_quota", lambda: quota)
    assert available_jobs() == jobs
