"""How many cores this process may use, in its container or without. Starts nothing."""

from __future__ import annotations

import os
from pathlib import Path

#: Where Linux states the processor time that a container may use.
CGROUP_CPU_MAX = Path("/sys/fs/cgroup/cpu.max")


def available_cores() -> int:
    """Return how many cores this process may use, at least 1: those of its affinity, within its container's share."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, _container_share() or cores))


def _container_share() -> int | None:
    try:
        quota, period = CGROUP_CPU_MAX.read_text(encoding="ascii").split()
        return max(1, int(quota) // int(period))
    except (OSError, ValueError):
        # No such file, or "max": no limit.
        return None
