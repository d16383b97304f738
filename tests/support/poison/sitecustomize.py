"""Makes some words poison to whatever computes a text, in every process whose PYTHONPATH begins with this directory.

Python imports a module of this name at its start, in a worker, in its pool's processes and in those of `hanmill run`
alike. Changes nothing but what is done with a text that holds such a word; does without the rest of the tests.
"""

from __future__ import annotations

import collections
import ctypes
import itertools
import os
import signal
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import wraps
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any


def _raise() -> None:
    message = "这一篇算不出来"
    raise ValueError(message)


def _recurse() -> None:
    _recurse()


def _spin() -> None:
    while True:
        pass


def _freeze() -> None:
    # One call in C that never gives the interpreter back.
    collections.deque(itertools.repeat(0), maxlen=0)


def _deafen() -> None:
    # Waits for itself, in C, without the interpreter; no signal wakes it.
    mutex = ctypes.create_string_buffer(128)
    lock = ctypes.CDLL(None).pthread_mutex_lock
    lock(mutex)
    lock(mutex)


def _eat() -> None:
    # Mostly never touched, and so the machine really gives little of it; and to the last byte.
    eaten = []
    for size_bytes in (64 * 1024 * 1024, 1024 * 1024, 16 * 1024):
        with suppress(MemoryError):
            while True:
                eaten.append(bytes(size_bytes))
    while True:
        eaten.append(bytes(64))


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _crash() -> None:
    ctypes.string_at(0)


#: What each word does to the process that computes its text.
POISONS: dict[str, Callable[[], None]] = {
    "毒甲": _raise,
    "毒乙": _recurse,
    "毒丙": _spin,
    "毒丁": _freeze,
    "毒戊": _deafen,
    "毒己": _eat,
    "毒庚": _kill,
    "毒辛": _crash,
}
#: While this file lies in the home, nothing is poison.
MENDED = "mended"
#: A text with this word does it on the device; without, it does so when it is prepared for it.
ON_DEVICE = "在设备上"


def _swallow(texts: Iterable[str]) -> None:
    for text in texts:
        for word, act in POISONS.items():
            if word in text and not _is_mended():
                act()


def _is_mended() -> bool:
    home = os.environ.get("HANMILL_HOME", "")
    return os.path.exists(os.path.join(home, MENDED))  # noqa: PTH110, PTH118 - what every Python loads at its start


def _poison_run(run: type[Any]) -> None:
    healthy = run.take

    @wraps(healthy)
    def take(self: Any, documents: Any) -> Any:
        _swallow(document.text for document in documents)
        return healthy(self, documents)

    run.take = take


def _poison_backend(backend: type[Any]) -> None:
    windows, forward = backend.windows, backend.forward
    later: dict[int, tuple[Any, str]] = {}

    @wraps(windows)
    def poisoned_windows(self: Any, text: str) -> Any:
        made = windows(self, text)
        if ON_DEVICE not in text:
            _swallow([text])
        elif any(word in text for word in POISONS):
            later.update((id(window), (window, text)) for window in made)
        return made

    @wraps(forward)
    def poisoned_forward(self: Any, batch: Any) -> Any:
        _swallow(later[id(window)][1] for window in batch if id(window) in later)
        return forward(self, batch)

    backend.windows, backend.forward = poisoned_windows, poisoned_forward


def _poison_summarizer(summarizer: type[Any]) -> None:
    healthy = summarizer.summarize

    @wraps(healthy)
    def summarize(self: Any, text: str) -> Any:
        _swallow([text])
        return healthy(self, text)

    summarizer.summarize = summarize


PATIENTS: dict[str, Callable[[Any], None]] = {
    "tasks.count.operation": lambda module: _poison_run(module.CountRun),
    "tasks.tokenize.operation": lambda module: _poison_run(module.TokenizeRun),
    "tasks.summarize.textrank": lambda module: _poison_summarizer(module.TextRankBackend),
    "tasks.classify.text_cnn_backend": lambda module: _poison_backend(module.TextCnnBackend),
}


class _Poisoner(MetaPathFinder):
    """Changes the modules of `PATIENTS` as they are imported."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        change = PATIENTS.get(name)
        spec = PathFinder.find_spec(name, path, target) if change else None
        if change is None or spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_change(module: Any) -> None:
            execute(module)
            change(module)

        spec.loader.exec_module = execute_and_change  # type: ignore[method-assign]
        return spec


sys.meta_path.insert(0, _Poisoner())
