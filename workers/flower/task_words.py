"""What a Celery task is to an operator: corpus, operation, job, shard and attempt instead of raw arguments.

A message carries ids only, so the ledger is asked, read-only. While it does not answer, ids are all that is shown.
"""

from __future__ import annotations

import ast
import logging
import re
import time
from functools import lru_cache
from typing import Any

from storage.engine import Engine
from storage.errors import TransientError
from storage.shard_names import ShardName, attempt_at, find_name
from workers.attempt_end import NOT_DUE, AttemptDeferredError, AttemptFailedError
from workers.task_names import FREE_SHARD, INGEST, RUN_SHARD

logger = logging.getLogger(__name__)

#: Seconds for which a ledger that did not answer is not asked again: a page of Flower waits for every answer.
PAUSE_S = 30.0
#: Shards whose names are remembered.
REMEMBERED = 20_000
#: Errors that are messages to a person: their class and the trace to them say nothing more.
_SPOKEN = re.compile(
    rf"^(?:{AttemptFailedError.__name__}|{AttemptDeferredError.__name__})\((?P<text>.*?),?\)$", re.DOTALL
)
_ID = re.compile(r"'(shard|job|corpus)': ([^,}]+)")
_ATTEMPT = re.compile(r"^attempt (\d+)\b")


class TaskWords:
    """Puts words in the place of ids; give it no ledger where there is none."""

    def __init__(self, ledger: Engine | None) -> None:
        self._ledger = ledger
        self._silent_until = 0.0
        self._names = lru_cache(maxsize=REMEMBERED)(self._find_name)

    def show(self, task: Any) -> Any:
        """Return a task of Flower's, changed in place, as an operator is to see it."""
        ids = {name: value.strip("'\"") for name, value in _ID.findall(str(task.kwargs or ""))}
        task.result = spoken(task.result) or ""
        if task.exception is not None and _SPOKEN.match(task.exception):
            task.exception = spoken(task.exception)
            task.traceback = None
        if task.name in {RUN_SHARD, FREE_SHARD} and ids.keys() >= {"shard", "job"}:
            task.args = self._work(task, int(ids["shard"]), int(ids["job"]))
        elif task.name == INGEST:
            task.args = f"documents for {ids.get('corpus', 'a corpus')}"
        else:
            return task
        # As the search of Flower wants them: kwargs:job=3.
        task.kwargs = ", ".join(f"{name}={value}" for name, value in ids.items())
        return task

    def _work(self, task: Any, shard_id: int, job_id: int) -> str:
        name = self._ask(self._names, shard_id)
        words = [name.corpus, _doing(name)] if name is not None else []
        words += [f"job {job_id}", f"shard {shard_id}"]
        attempt = self._attempt(task, shard_id, job_id) if task.name == RUN_SHARD else None
        if attempt is not None:
            words.append(f"attempt {attempt}")
        return " · ".join(words)

    def _attempt(self, task: Any, shard_id: int, job_id: int) -> int | None:
        """Return which attempt at its shard a task is: as it said in the end, else as the ledger has it."""
        said = str(task.exception or task.result or "")
        own = said.partition(f"shard {shard_id} of job {job_id}: ")[2] or said
        if found := _ATTEMPT.match(own):
            return int(found[1])
        if said == NOT_DUE or task.started is None:
            return None
        instant = time.time() if task.state == "STARTED" else task.timestamp
        number: int | None = self._ask(attempt_at, self._ledger, shard_id, instant)
        return number

    def _find_name(self, shard_id: int) -> ShardName | None:
        return None if self._ledger is None else find_name(self._ledger, shard_id)

    def _ask(self, question: Any, *arguments: Any) -> Any:
        if self._ledger is None or time.monotonic() < self._silent_until:
            return None
        try:
            return question(*arguments)
        except TransientError as error:
            self._silent_until = time.monotonic() + PAUSE_S
            logger.warning("flower.ledger_away", extra={"error": str(error)})
            return None


def _doing(name: ShardName) -> str:
    """Return `count`, or `count, sum 1` for the first part of what is summed up in the end."""
    return name.operation if name.partition is None else f"{name.operation}, sum {name.partition + 1}"


def spoken(shown: str | None) -> str | None:
    """Return the text in a representation: `AttemptFailedError('attempt 1 failed')` is `attempt 1 failed`."""
    if shown is None:
        return None
    found = _SPOKEN.match(shown)
    quoted = found["text"] if found else shown
    try:
        text = ast.literal_eval(quoted)
    except (ValueError, SyntaxError):
        return shown
    return text if isinstance(text, str) else shown
