"""Runs windows through a backend in token-budget batches, survives a full device, and finds the window that fails.

Knows no documents and no queue. A window is blamed only when it fails alone while another, known to be good, does not.
"""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Sequence
from typing import Any, Generic

import torch

from tasks.nn.backend import MODEL_FAILED, OUT_OF_MEMORY, Backend, BackendFailedError, O, UnfitTextError, W
from tasks.nn.token_batches import BatchStatistics, cut_batches

logger = logging.getLogger(__name__)

#: Text of which the warm-up makes its windows: ordinary sentences, so that no backend finds them unfit.
WARM_UP_TEXT = "今天上午，研究人员在会议上介绍了新的方法，并用公开的数据检验了结果。"
#: The smallest budget there is: below it even a short text would be cut into batches of one.
MIN_TOKEN_BUDGET = 512
#: The largest budget that the warm-up tries, per kind of device.
MAX_TOKEN_BUDGET = {"cpu": 16_384, "cuda": 1_048_576}
#: A larger budget is kept when it is faster by this factor: a smaller one costs less memory and less waiting.
WORTH_DOUBLING = 1.05
#: After so many batches without trouble, a budget that had to be halved grows again by a tenth.
CLEAN_BATCHES = 50
GROWTH = 1.1
#: What the libraries say when memory is short but raise no `torch.OutOfMemoryError`.
MEMORY_MESSAGES = ("out of memory", "can't allocate memory", "CUDNN_STATUS_NOT_SUPPORTED", "CUDNN_STATUS_ALLOC_FAILED")


class BackendBrokenError(RuntimeError):
    """Not even a known good text can be computed: the device or the model is at fault, no document."""


class BatchRunner(Generic[W, O]):
    """Computes windows on a backend's device; one a process, used by one thread."""

    def __init__(self, backend: Backend[W, O, Any], token_budget: int, *, probe: Sequence[W] = ()) -> None:
        """`probe` are windows known to be good; without them every window that fails alone is blamed."""
        self._backend = backend
        self._full_budget = token_budget
        self._probe = probe
        self._clean_batches = 0
        #: What is no fault of a batch and is not caught, such as the signal that the time is up.
        self.let_through: tuple[type[Exception], ...] = ()
        self.token_budget = token_budget
        self.statistics = BatchStatistics()

    def run(self, windows: Sequence[W]) -> list[O | UnfitTextError]:
        """Compute windows and return their outputs, in order; what fails alone gives its error.

        Raises `BackendBrokenError` when the device or the model is at fault.
        """
        outputs: list[O | UnfitTextError | None] = [None] * len(windows)
        waiting = [(self.token_budget, batch) for batch in reversed(self._cut(windows, range(len(windows))))]
        while waiting:
            budget, batch = waiting.pop()
            if budget > self.token_budget and len(batch) > 1:
                # The budget was halved since this batch was cut.
                waiting.extend((self.token_budget, part) for part in reversed(self._cut(windows, batch)))
                continue
            results = self._forward([windows[index] for index in batch])
            if results is None:
                middle = (len(batch) + 1) // 2
                waiting.extend((budget, part) for part in (batch[middle:], batch[:middle]) if part)
                continue
            for index, result in zip(batch, results, strict=True):
                outputs[index] = result
        return [output for output in outputs if output is not None]

    def _cut(self, windows: Sequence[W], indices: Sequence[int]) -> list[list[int]]:
        batches = cut_batches([windows[index].length for index in indices], self.token_budget)
        return [[indices[place] for place in batch] for batch in batches]

    def _forward(self, batch: Sequence[W]) -> Sequence[O | UnfitTextError] | None:
        """Return the outputs of a batch; None when it is to be tried again in halves."""
        started = time.perf_counter()
        error = self._try(batch)
        if not isinstance(error, Exception):
            lengths = [window.length for window in batch]
            self.statistics.add(lengths, self.token_budget, time.perf_counter() - started)
            self._recover()
            return error
        if is_out_of_memory(error):
            self._shrink()
        else:
            self.statistics.faults += 1
        if len(batch) > 1:
            return None
        return self._alone(batch, error)

    def _try(self, batch: Sequence[W]) -> Sequence[O] | Exception:
        # The exception is handed out and its handler left before anything else: its traceback holds tensors.
        try:
            return self._backend.forward(batch)
        except BackendFailedError as error:
            raise BackendBrokenError(str(error)) from error
        except self.let_through:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a model raises, the others of the batch must live
            return error.with_traceback(None)

    def _alone(self, batch: Sequence[W], error: Exception) -> list[O | UnfitTextError]:
        if isinstance(error, UnfitTextError):
            return [error]
        # Once more: what a moment's shortage of memory did is not the text's fault.
        again = self._try(batch)
        if not isinstance(again, Exception):
            return list(again)
        if isinstance(again, UnfitTextError):
            return [again]
        broken = self._try(self._probe) if self._probe else None
        if isinstance(broken, Exception):
            message = f"the model fails even on a text that it computed before: {type(broken).__name__}: {broken}"
            raise BackendBrokenError(message) from broken
        reason = OUT_OF_MEMORY if is_out_of_memory(again) else MODEL_FAILED
        logger.warning("batch.window_failed", extra={"reason": reason, "error": str(again)})
        return [UnfitTextError(reason, f"{type(again).__name__}: {again}")]

    def _shrink(self) -> None:
        self.statistics.out_of_memory += 1
        self._clean_batches = 0
        self.token_budget = max(MIN_TOKEN_BUDGET, self.token_budget // 2)
        logger.warning("batch.out_of_memory", extra={"token_budget": self.token_budget})
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _recover(self) -> None:
        if self.token_budget < self._full_budget:
            self._clean_batches += 1
            if self._clean_batches >= CLEAN_BATCHES:
                self._clean_batches = 0
                self.token_budget = min(self._full_budget, int(self.token_budget * GROWTH))


def is_out_of_memory(error: Exception) -> bool:
    """Say whether an error means that the device's memory, or the machine's, was too small."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in MEMORY_MESSAGES)


def warm_up(backend: Backend[W, O, Any], device: str) -> BatchRunner[W, O]:
    """Run ever larger batches of the longest windows and return a runner with the budget that was worth it.

    A backend with a `fixed_token_budget` computes elsewhere, and is not warmed up.
    Raises `BackendBrokenError` when the model cannot compute even one ordinary text.
    """
    fixed: int | None = getattr(backend, "fixed_token_budget", None)
    if fixed is not None:
        return BatchRunner(backend, fixed)
    kind = device.split(":", maxsplit=1)[0]
    limit = MAX_TOKEN_BUDGET.get(kind, MAX_TOKEN_BUDGET["cpu"])
    probe = list(backend.windows(WARM_UP_TEXT * 4))[:1]
    longest = max(backend.windows(WARM_UP_TEXT * 200), key=lambda window: window.length, default=None)
    if not probe or longest is None:
        return BatchRunner(backend, limit)
    budget, best_rate = MIN_TOKEN_BUDGET, 0.0
    while budget <= limit:
        rate = _rate(backend, [longest] * max(1, budget // longest.length))
        if rate < best_rate * WORTH_DOUBLING:
            break
        best_rate = max(best_rate, rate)
        budget *= 2
    runner = BatchRunner(backend, max(MIN_TOKEN_BUDGET, budget // 2), probe=probe)
    logger.info("batch.warmed_up", extra={"token_budget": runner.token_budget, "tokens_per_s": round(best_rate)})
    return runner


def _rate(backend: Backend[W, O, Any], batch: Sequence[W]) -> float:
    """Return how many positions a second a batch comes to; 0 when the device is too small for it."""
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        try:
            backend.forward(batch)
        except Exception as error:
            if not is_out_of_memory(error):
                message = f"the model fails on an ordinary text: {type(error).__name__}: {error}"
                raise BackendBrokenError(message) from error
            return 0.0
        seconds.append(time.perf_counter() - started)
    return sum(window.length for window in batch) / min(seconds)
