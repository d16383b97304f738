"""A worker whose counting has a bug: it raises on every document that holds 鸩毒. Else it is Celery's own command."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from storage.documents import Document
from tasks.count.operation import CountRun
from tasks.operation import Save
from tests.support.availability import REPOSITORY
from tests.support.deployment import Deployment, stop

POISON = "鸩毒"

_healthy = CountRun.take


def _take(self: CountRun, documents: Sequence[Document]) -> Save | None:
    if any(POISON in document.text for document in documents):
        message = f"{POISON}：这一篇算不出来"
        raise ValueError(message)
    return _healthy(self, documents)


@contextmanager
def running_poisoned_worker(mill: Deployment) -> Iterator[Path]:
    """Have such a worker run; yields its log."""
    log = mill.settings.home / "worker.log"
    command = [sys.executable, "-m", "tests.support.poisoned_worker", "worker", "-c", "1", "-n", "mill1@rack"]
    command += ["-Q", "hanmill.cpu,hanmill.control", "--without-gossip", "--without-mingle", "--loglevel", "INFO"]
    with log.open("ab") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, env=mill.environment(), cwd=REPOSITORY)
    try:
        yield log
    finally:
        stop(process)


if __name__ == "__main__":
    from workers.cli.celery_process import main

    CountRun.take = _take  # type: ignore[method-assign]
    main()
