"""What every log line says without being asked: the worker, and the job, shard and attempt that run just then.

Formats nothing, see `logs`. The context belongs to a thread; a thread that is started inside takes it along by
`inherited`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar, copy_context
from functools import partial
from typing import ParamSpec, TypeVar

from storage.ledger import Lease

P = ParamSpec("P")
R = TypeVar("R")

_fields: ContextVar[Mapping[str, object]] = ContextVar("log_fields", default={})  # noqa: B039 - never changed in place
#: What holds for the whole process: its worker's name.
_process_fields: dict[str, object] = {}


def name_worker(name: str) -> None:
    """Have every line of this process, and of those it forks, name its worker."""
    _process_fields["worker"] = name


def log_fields(**fields: object) -> AbstractContextManager[None]:
    """Have every line written inside `with` by this thread carry these fields, beside those of the contexts around."""
    return without_fields(**fields)


@contextmanager
def without_fields(*names: str, **fields: object) -> Iterator[None]:
    """Leave out some fields of the contexts around, and add others, inside `with`."""
    around = {name: value for name, value in _fields.get().items() if name not in names}
    token = _fields.set({**around, **fields})
    try:
        yield
    finally:
        _fields.reset(token)


def begin_message(task: str, arguments: Mapping[str, object]) -> None:
    """Have what this thread writes until `end_message` name the task and, of its arguments, job and shard."""
    _fields.set({"task": task, **{name: arguments[name] for name in ("job", "shard") if name in arguments}})


def end_message() -> None:
    """Forget what the message was about."""
    _fields.set({})


def fields_of_lease(held: Lease) -> dict[str, object]:
    """Return the fields that name an attempt: {"job": 3, "shard": 17, "attempt": 1}."""
    return {"job": held.job_id, "shard": held.shard_id, "attempt": held.attempts}


def inherited(function: Callable[P, R]) -> Callable[P, R]:
    """Return the function to be called by another thread, with the fields of the thread that asks."""
    return partial(copy_context().run, function)


class ContextFilter(logging.Filter):
    """Adds the context to the lines of a handler, libraries' lines too; what a line says by itself stands."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the fields; lets every line pass."""
        for name, value in {**_process_fields, **_fields.get()}.items():
            if not hasattr(record, name):
                setattr(record, name, value)
        return True
