"""Draws the dashboard's panels from what Prometheus answers to their queries. Is not Grafana and does not look like it.

Grafana comes in no package that can be installed here; this shows what its panels would be made of.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import Any

from tests.support.availability import REPOSITORY
from tests.support.prometheus_server import PrometheusServer

DASHBOARD = REPOSITORY / "deploy" / "grafana" / "dashboards" / "hanmill.json"
#: Inches of a column and of a row of the dashboard's grid, and dots of an inch.
COLUMN_INCHES, ROW_INCHES, DOTS = 0.62, 0.36, 72
#: Of the picture, so that it is small.
COLOURS = 48
#: Most lines that a legend names.
LEGEND_LINES = 6

Series = tuple[str, list[float], list[float]]


def panels() -> list[dict[str, Any]]:
    """Return the dashboard's panels, its headings among them."""
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return found


def answers(
    prometheus: PrometheusServer, panel: Mapping[str, Any], span: tuple[float, float], rate_interval: str
) -> list[Series]:
    """Return the lines of a panel over a span of seconds since 1970: (legend, instants, values)."""
    found: list[Series] = []
    begin_s, end_s = span
    for target in panel["targets"]:
        query = target["expr"].replace("$__rate_interval", rate_interval)
        if target["instant"]:
            data = prometheus.ask("query", query=query, time=str(end_s))
        else:
            step = f"{max((end_s - begin_s) / 200, 1):.0f}s"
            data = prometheus.ask("query_range", query=query, start=str(begin_s), end=str(end_s), step=step)
        for series in data["result"]:
            values = series.get("values") or [series["value"]]
            points = [(float(instant) - begin_s, float(value)) for instant, value in values]
            # A share or a quantile of nothing is no number.
            points = [(instant, value) for instant, value in points if not isnan(value)]
            if not points:
                continue
            legend = _legend(target["legendFormat"], series["metric"])
            found.append((legend, [instant for instant, _ in points], [value for _, value in points]))
    return found


def _legend(form: str, labels: Mapping[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), form).strip()


def draw(path: Path, drawn: Sequence[tuple[dict[str, Any], list[Series]]]) -> None:
    """Draw panels with their lines where the dashboard has them."""
    import matplotlib as mpl  # noqa: PLC0415 - slow
    from PIL import Image  # noqa: PLC0415

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    mpl.rcParams["font.family"] = ["Noto Sans CJK SC", "DejaVu Sans"]
    mpl.rcParams["font.size"] = 7
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel, _ in drawn)
    figure = plt.figure(figsize=(24 * COLUMN_INCHES, rows * ROW_INCHES), dpi=DOTS)
    for panel, series in drawn:
        place = panel["gridPos"]
        left, width = (place["x"] + 1.0) / 24, (place["w"] - 1.4) / 24
        bottom, height = 1 - (place["y"] + place["h"] - 0.9) / rows, (place["h"] - 1.9) / rows
        if panel["type"] == "row":
            figure.text(0.01, 1 - (place["y"] + 0.8) / rows, panel["title"], weight="bold", size=10)
            continue
        axes = figure.add_axes((left, bottom, width, height))
        axes.set_title(panel["title"], loc="left", size=8)
        _draw_panel(axes, panel, series)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    plt.close(figure)
    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(COLOURS)
    small.save(path, optimize=True)


def _draw_panel(axes: Any, panel: Mapping[str, Any], series: Sequence[Series]) -> None:
    if panel["type"] == "stat":
        axes.axis("off")
        axes.text(
            0.0, 0.3, f"{sum(values[-1] for _, _, values in series):g}" if series else "–", size=20, color="#27733a"
        )
    elif panel["type"] == "bargauge":
        bars = axes.barh(range(len(series)), [values[-1] for _, _, values in series], color="#a9c4e8")
        axes.bar_label(bars, [f"{legend}  {values[-1]:.3g}" for legend, _, values in series], label_type="center")
        axes.set_yticks([])
        axes.set_xlim(left=0, right=panel["fieldConfig"]["defaults"].get("max"))
    else:
        for legend, instants_s, values in series:
            axes.plot(instants_s, values, linewidth=1, label=legend)
        axes.set_ylim(bottom=0)
        axes.grid(visible=True, alpha=0.3)
        if series:
            axes.legend(
                *[part[:LEGEND_LINES] for part in axes.get_legend_handles_labels()],
                loc="upper left",
                framealpha=0.6,
                fontsize=6,
            )
