"""The live progress of jobs: a bar each, on a terminal only; in a pipe there are sentences and no bars."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from workers.cli.output import human_bytes, note

if TYPE_CHECKING:
    from rich.progress import Progress

    from workers.cli.waiting import Display


class SentenceDisplay:
    """Tells sentences on stderr and draws nothing."""

    wants_figures = False

    def tell(self, sentence: str) -> None:
        """Print one sentence."""
        note(sentence)

    def update(self, views: Sequence[Mapping[str, Any]]) -> None:
        """Draw nothing."""


class BarDisplay:
    """Draws a bar for every job."""

    wants_figures = True

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[int, Any] = {}
        self._rates: dict[int, Rate] = {}

    def tell(self, sentence: str) -> None:
        """Print one sentence above the bars."""
        self._bars.console.print(sentence, markup=False, highlight=False)

    def update(self, views: Sequence[Mapping[str, Any]]) -> None:
        """Move the bars to where the jobs stand."""
        for view in views:
            rate = self._rates.setdefault(view["id"], Rate(view["bytes_done"], time.monotonic()))
            if view["id"] not in self._tasks:
                self._tasks[view["id"]] = self._bars.add_task(str(view["operation"]), total=None, figures="")
            self._bars.update(
                self._tasks[view["id"]],
                total=max(view["bytes"], 1),
                completed=view["bytes_done"] if view["bytes"] else 1,
                figures=figures_line(view, rate.per_second(view["bytes_done"], time.monotonic())),
            )


class Rate:
    """How fast a job goes since it was first seen: what was known or done before does not count."""

    def __init__(self, bytes_done: int, now_s: float) -> None:
        self._bytes_before = bytes_done
        self._since_s = now_s

    def per_second(self, bytes_done: int, now_s: float) -> float:
        """Return bytes a second; 0 as long as nothing is known."""
        elapsed_s = now_s - self._since_s
        return max(0.0, (bytes_done - self._bytes_before) / elapsed_s) if elapsed_s > 0 else 0.0


def figures_line(view: Mapping[str, Any], bytes_per_s: float) -> str:
    """Return what stands behind a bar: documents, size, rate, time left, and what went wrong, if anything did."""
    parts = [
        f"{view['documents']:,} documents",
        f"{human_bytes(view['bytes_done'])} of {human_bytes(view['bytes'])}",
        f"{human_bytes(bytes_per_s)}/s" if bytes_per_s else "",
        _time_left(view, bytes_per_s),
        f"{view['failures']:,} failures" if view["failures"] else "",
        f"{view['dead']:,} dead" if view["dead"] else "",
    ]
    return " · ".join(part for part in parts if part)


def _time_left(view: Mapping[str, Any], bytes_per_s: float) -> str:
    if view["state"] == "MERGING":
        return "summing"
    if view["state"] != "RUNNING":
        return str(view["state"]).lower()
    left_bytes = view["bytes"] - view["bytes_done"]
    if left_bytes <= 0 or not bytes_per_s:
        return ""
    minutes, seconds = divmod(round(left_bytes / bytes_per_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02} left" if hours else f"{minutes}:{seconds:02} left"


@contextmanager
def progress_display() -> Iterator[Display]:
    """Give the display that suits stderr: bars on a terminal, sentences elsewhere."""
    if not sys.stderr.isatty():
        yield SentenceDisplay()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    figures = TextColumn("{task.fields[figures]}")
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), figures)
    with Progress(*columns, console=Console(stderr=True), refresh_per_second=5) as bars:
        yield BarDisplay(bars)
