"""The plot of a contest: speed-up against processes, with the line that every process adds the loop's speed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def draw(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write the plot of a table's rows (see `verdict.table`) as a picture; the suffix says which kind.

    Raises `ModuleNotFoundError` without matplotlib.
    """
    import matplotlib as mpl  # noqa: PLC0415 - the extra `models` brings it

    # Draws into a file, whatever screen there is.
    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    points: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for row in rows:
        points[row["name"]].append((row["processes"], row["speed_up"]))
    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    most = max(row["processes"] for row in rows)
    axes.plot([1, most], [1, most], linestyle="--", color="grey", label="one per process")
    for name, found in points.items():
        found.sort()
        axes.plot([at for at, _ in found], [speed for _, speed in found], marker="o", label=name)
    axes.set(xlabel="processes", ylabel="speed-up over the plain loop", xticks=range(1, most + 1), yscale="log")
    axes.legend()
    axes.grid(visible=True, alpha=0.3)
    figure.savefig(path)
    plt.close(figure)
