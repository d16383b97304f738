"""Closes what Flower leaves open, on top of its options: its metrics, passwords in addresses, texts in its history.

Changes classes of Flower while its configuration is read; written for the versions that `pyproject.toml` allows.
"""

from __future__ import annotations

import re
from functools import wraps
from typing import Any

import tornado.web
from flower.events import EventsState
from flower.inspector import Inspector
from flower.views.monitor import Metrics

from workers.settings import mask
from workers.task_names import INGEST

#: The corpus among the arguments of an ingest message, as their representation shows it.
_CORPUS = re.compile(r"""(?:['"]corpus['"]: |^\()(['"])(?P<name>.*?)\1""")


def close_doors() -> None:
    """Close them; once a process."""
    # It names workers and tasks to anybody. `/healthcheck` stays open: it says nothing but OK.
    Metrics.get = tornado.web.authenticated(Metrics.get)
    Inspector._on_update = _masked_update(Inspector._on_update)  # noqa: SLF001 - the one place all answers pass
    EventsState.event = _event_without_texts(EventsState.event)


def _masked_update(update: Any) -> Any:
    @wraps(update)
    def masked(self: Any, worker: str, method: str, answer: Any) -> None:
        # Celery masks passwords in addresses of hosts, not in those of sockets.
        update(self, worker, method, masked_values(answer))

    return masked


def masked_values(answer: Any) -> Any:
    """Return an answer of a worker with the passwords of all addresses in it masked."""
    if isinstance(answer, str):
        return mask(answer)
    if isinstance(answer, dict):
        return {name: masked_values(value) for name, value in answer.items()}
    if isinstance(answer, list):
        return [masked_values(value) for value in answer]
    return answer


def _event_without_texts(handle: Any) -> Any:
    @wraps(handle)
    def without_texts(self: Any, event: dict[str, Any]) -> Any:
        if event.get("name") == INGEST:
            # Its arguments are documents: not for a monitor's pages, nor for its file.
            event = {**event, "args": "()", "kwargs": ingest_arguments(event)}
        return handle(self, event)

    return without_texts


def ingest_arguments(event: dict[str, Any]) -> str:
    """Return the arguments of an ingest message without its documents: `{'corpus': 'news'}`."""
    found = _CORPUS.search(str(event.get("kwargs"))) or _CORPUS.search(str(event.get("args")))
    return repr({"corpus": found["name"]}) if found else "{}"
