"""How much memory a process of a worker may take: asking for more is a `MemoryError` there, and ends nothing else.

Without it a document that eats memory has the kernel choose whom to kill, and that may be the database. The limit holds
for the data of the process (Linux: what it maps to write, for itself alone). A process that computes on a GPU has none:
what CUDA maps is not known beforehand. Celery's `worker_max_memory_per_child` is no substitute: it looks between two
tasks, when it is too late, and a process that is above it from its start is replaced after every single task.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from workers.stall_guard import in_pool

#: Of the memory that the machine, or the container, has, what one process may take by default.
DEFAULT_SHARE = 0.8
#: Where Linux says what the container may take: version 2 of its control groups, and version 1.
_LIMIT_FILES = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def limit_memory(limit_bytes: int) -> None:
    """Let this process of a pool have so many bytes of data, or the default share for 0."""
    if not in_pool():
        return
    import resource  # noqa: PLC0415 - Windows has none, and no pool of processes either

    wanted = limit_bytes or int(DEFAULT_SHARE * available_bytes())
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    allowed = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
    resource.setrlimit(resource.RLIMIT_DATA, (allowed, most))


def available_bytes() -> int:
    """Return how much memory the machine has, or the container if that is less."""
    sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in _LIMIT_FILES:
        # Without a limit there is no file, or the word `max`.
        with suppress(OSError, ValueError):
            sizes.append(int(path.read_text(encoding="ascii")))
    return min(sizes)
