"""Keeps the models of this process loaded, each with the batch budget that its warm-up found. Knows no queue."""

from __future__ import annotations

import json
import logging
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasks.nn.backend import AnyBackend
from tasks.nn.batch_runner import BatchRunner, warm_up
from tasks.operation import ModelOperation, Workplace

logger = logging.getLogger(__name__)

#: Models that stay loaded at a time; the one that was not used for longest makes room.
LOADED_MODELS = 2


@dataclass(frozen=True, slots=True)
class Runner:
    """A loaded model and what runs windows through it."""

    backend: AnyBackend
    batches: BatchRunner[Any, Any]


_loaded: OrderedDict[str, Runner] = OrderedDict()


def runner_for(operation: ModelOperation, parameters: Mapping[str, Any], workplace: Workplace) -> Runner:
    """Return the model of a job, loaded and warmed up once a process.

    Raises `UsageError` when it cannot be loaded and `BackendBrokenError` when it computes nothing.
    """
    key = json.dumps([operation.name, parameters, workplace.device], sort_keys=True)
    if key in _loaded:
        _loaded.move_to_end(key)
        return _loaded[key]
    while len(_loaded) >= LOADED_MODELS:
        _loaded.popitem(last=False)
    started = time.perf_counter()
    backend = operation.open_backend(parameters, workplace)
    runner = Runner(backend, warm_up(backend, workplace.device))
    seconds = round(time.perf_counter() - started, 2)
    logger.info("model.loaded", extra={"operation": operation.name, "model": backend.digest, "seconds": seconds})
    _loaded[key] = runner
    return runner


def drop_runners() -> None:
    """Forget every loaded model."""
    _loaded.clear()
