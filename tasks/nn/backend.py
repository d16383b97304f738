"""What a loaded model is to the rest of the mill: it prepares texts on the CPU and computes windows on its device.

Knows no queue and no database, and none of the models; batching is `batch_runner.py`'s business.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

#: Reasons why a text can have no result.
EMPTY_TEXT = "empty_text"
MODEL_FAILED = "model_failed"
OUT_OF_MEMORY = "out_of_memory"


class UnfitTextError(Exception):
    """A text that can have no result; it becomes a dead letter with this reason and explanation."""

    def __init__(self, reason: str, detail: str) -> None:
        """`reason` is one stable word such as `empty_text`; `detail` is for people."""
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class BackendFailedError(RuntimeError):
    """A backend that can compute nothing just now (its server is away, say); no text is to blame."""


class Window(Protocol):
    """A stretch of one text as the device takes it."""

    @property
    def length(self) -> int:
        """How many positions it takes, padding aside."""
        ...


W = TypeVar("W", bound=Window)
O = TypeVar("O")  # noqa: E741 - the output of one window, beside W and R
R_co = TypeVar("R_co", covariant=True)


class Backend(Protocol[W, O, R_co]):
    """One model, loaded, on one device, in one process."""

    #: 64 hex digits that stand for the weights and all else of the model that decides a result.
    digest: str

    def windows(self, text: str) -> Sequence[W]:
        """Cut and encode a text, on the CPU; called in a reader thread while the device computes.

        A text that needs no device gives no windows. Raises `UnfitTextError` for one that can have no result.
        """
        ...

    def forward(self, windows: Sequence[W]) -> Sequence[O]:
        """Compute one batch of windows of any texts, and return their outputs in the same order.

        An output must not depend on which other windows are in the batch.
        """
        ...

    def result(self, text: str, windows: Sequence[W], outputs: Sequence[O]) -> R_co:
        """Put the outputs of a text's windows together, on the CPU."""
        ...


AnyBackend = Backend[Any, Any, Any]
