"""The names of the Celery tasks: written out, since they outlive every deploy and stand in other people's programs.

And how the processes of a worker are named in the ledger.
"""

from __future__ import annotations

RUN_SHARD = "hanmill.run_shard"
RECONCILE = "hanmill.reconcile"
INGEST = "hanmill.ingest"
FREE_SHARD = "hanmill.free_shard"
START_RUN = "hanmill.start_run"


def worker_prefix(nodename: str | None, main_pid: int) -> str:
    """Return what all processes of one worker have in common in their names: `node/pid of the worker/`."""
    return f"{nodename or 'unnamed'}/{main_pid}/"
