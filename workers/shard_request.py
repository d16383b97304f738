"""What a worker's main process does when a process of its pool ends in the middle of a shard: it lets the shard go.

Opens no database: the message that it sends does, in a process of the pool.
"""

from __future__ import annotations

import logging
import os
from typing import Any

from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery.worker.request import Request
from kombu.exceptions import OperationalError

from storage.redis_keys import QUEUE_CONTROL
from workers.lost_process import describe
from workers.task_names import FREE_SHARD, worker_prefix

logger = logging.getLogger(__name__)


class ShardRequest(Request):
    """A message that asks for a shard, as the main process sees it."""

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> None:  # noqa: FBT001, FBT002 - Celery's own
        """Let the shard go when its process has ended, whatever ended it."""
        super().on_failure(exc_info, send_failed_event, return_ok)
        # The pool wraps what happened in a process, and not what happened to one.
        error = getattr(exc_info.exception, "exc", exc_info.exception)
        if isinstance(error, (WorkerLostError, SystemExit)):
            self._let_go(error)

    def on_timeout(self, soft: bool, timeout: float) -> None:  # noqa: FBT001 - Celery's own
        """Let the shard go when its time is up for good: the pool ends its process."""
        super().on_timeout(soft, timeout)
        if not soft:
            self._let_go(TimeLimitExceeded(timeout))

    def _let_go(self, error: BaseException) -> None:
        """Have the lease freed, so that the shard need not wait for it to lapse."""
        # Of this process alone: by now the shard may be in another one's hands, of the same worker.
        process = f"{worker_prefix(self.hostname, os.getpid())}{self.worker_pid or ''}"
        kwargs = {**(self.kwargs or {}), "worker": process, "reason": describe(error)}
        try:
            self.task.app.send_task(FREE_SHARD, kwargs=kwargs, queue=QUEUE_CONTROL, ignore_result=True, retry=False)
        except (OperationalError, OSError) as unsent:
            logger.warning("shard.not_freed", extra={**(self.kwargs or {}), "error": str(unsent)})
