"""What a summarizer looks like to the worker that needs no device: it gives no windows and works in `result`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Never

from tasks.summarize.summary import Summary, check_not_empty


class Windowless(ABC):
    """A backend (`tasks.nn.backend.Backend`) whose texts never reach the device."""

    def __init__(self, digest: str) -> None:
        """`digest` stands for the algorithm and its constants."""
        self.digest = digest

    @abstractmethod
    def summarize(self, text: str) -> Summary:
        """Return the summary of a text that is not empty."""

    def windows(self, text: str) -> Sequence[Never]:
        """Return no windows; raises `UnfitTextError` for an empty text."""
        check_not_empty(text)
        return ()

    def forward(self, windows: Sequence[Never]) -> Sequence[Never]:
        """Return nothing for nothing."""
        return windows

    def result(self, text: str, windows: Sequence[Never], outputs: Sequence[Never]) -> Summary:  # noqa: ARG002
        """Return the summary."""
        return self.summarize(text)
