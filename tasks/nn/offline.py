"""Runs a backend over texts in one process, with no queue: for training, evaluation and tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from tasks.nn.backend import MODEL_FAILED, Backend, O, UnfitTextError, W
from tasks.nn.batch_runner import BatchRunner

R = TypeVar("R")

#: Positions of a batch when nobody measured a better figure.
DEFAULT_TOKEN_BUDGET = 8192


def run_all(
    backend: Backend[W, O, R], texts: Sequence[str], token_budget: int = DEFAULT_TOKEN_BUDGET
) -> list[R | UnfitTextError]:
    """Return the result of every text, in order; an unfit text gives its error."""
    runner = BatchRunner(backend, token_budget)
    prepared: list[Sequence[W] | UnfitTextError] = [_windows(backend, text) for text in texts]
    flat = [window for windows in prepared if not isinstance(windows, UnfitTextError) for window in windows]
    outputs = iter(runner.run(flat))
    return [_result(backend, text, windows, outputs) for text, windows in zip(texts, prepared, strict=True)]


def _windows(backend: Backend[W, O, R], text: str) -> Sequence[W] | UnfitTextError:
    try:
        return backend.windows(text)
    except UnfitTextError as error:
        return error


def _result(
    backend: Backend[W, O, R],
    text: str,
    windows: Sequence[W] | UnfitTextError,
    outputs: Iterator[O | UnfitTextError],
) -> R | UnfitTextError:
    if isinstance(windows, UnfitTextError):
        return windows
    return join_outputs(backend, text, windows, [next(outputs) for _ in windows])


def join_outputs(
    backend: Backend[W, O, R], text: str, windows: Sequence[W], outputs: Sequence[O | UnfitTextError]
) -> R | UnfitTextError:
    """Return a text's result; if one of its windows failed, that window's error."""
    good: list[O] = []
    for output in outputs:
        if isinstance(output, UnfitTextError):
            return output
        good.append(output)
    try:
        return backend.result(text, windows, good)
    except UnfitTextError as error:
        return error
    except Exception as error:  # noqa: BLE001 - one text's trouble is its own
        return UnfitTextError(MODEL_FAILED, f"{type(error).__name__}: {error}")
