"""The course of a training, for people: a Markdown page, its figures as JSON, and loss and F1 drawn as SVG.

Draws from the epochs alone; trains and measures nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tasks.nn.fit import FitReport

PAGE, FIGURES, PLOT = "training_report.md", "training_report.json", "training_report.svg"
#: Of one plot, in the units of the drawing; the two stand side by side.
WIDTH, HEIGHT, MARGIN = 320, 220, 44
LOSS_COLOUR, FIGURE_COLOUR = "#b5452c", "#2c6fb5"


def write_report(directory: Path, title: str, report: FitReport, metrics: Mapping[str, Any]) -> None:
    """Write the three files into a model's directory."""
    record = {"title": title, "metrics": dict(metrics), **asdict(report)}
    (directory / FIGURES).write_text(json.dumps(record, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    (directory / PLOT).write_text(plot(report), encoding="utf-8")
    (directory / PAGE).write_text(_page(title, report, metrics), encoding="utf-8")


def _page(title: str, report: FitReport, metrics: Mapping[str, Any]) -> str:
    rows = [
        f"| {epoch.number}{' (kept)' if epoch.number == report.best_epoch else ''} "
        f"| {epoch.loss:.4f} | {epoch.figure:.2f} | {epoch.seconds:.1f} |"
        for epoch in report.epochs
    ]
    lines = [
        f"# Training of {title}",
        "",
        f"![Loss and F1 of every epoch]({PLOT})",
        "",
        "F1 is that of the network alone, on the dev part, at the decision above 0.",
        "",
        "| epoch | loss | micro F1 on dev | seconds |",
        "|---:|---:|---:|---:|",
        *rows,
        "",
        "```json",
        json.dumps(dict(metrics), ensure_ascii=False, indent=2),
        "```",
        "",
    ]
    return "\n".join(lines)


def plot(report: FitReport) -> str:
    """Return loss and F1 over the epochs as SVG."""
    losses = [epoch.loss for epoch in report.epochs]
    figures = [epoch.figure for epoch in report.epochs]
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="11">'
    )
    parts = [
        opening,
        f'<rect width="{2 * WIDTH}" height="{HEIGHT}" fill="white"/>',
        *_curve(losses, "loss", LOSS_COLOUR, 0),
        *_curve(figures, "micro F1 on dev", FIGURE_COLOUR, WIDTH),
        "</svg>",
        "",
    ]
    return "\n".join(parts)


def _curve(values: Sequence[float], name: str, colour: str, left: int) -> list[str]:
    low, high = min(values, default=0.0), max(values, default=0.0)
    span = high - low or 1.0
    across = (WIDTH - 2 * MARGIN) / max(1, len(values) - 1)
    points = [
        (left + MARGIN + place * across, HEIGHT - MARGIN - (value - low) / span * (HEIGHT - 2 * MARGIN))
        for place, value in enumerate(values)
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return [
        f'<text x="{left + WIDTH / 2}" y="20" text-anchor="middle">{name}</text>',
        f'<text x="{left + MARGIN - 6}" y="{MARGIN + 4}" text-anchor="end">{high:.3g}</text>',
        f'<text x="{left + MARGIN - 6}" y="{HEIGHT - MARGIN + 4}" text-anchor="end">{low:.3g}</text>',
        f'<text x="{left + WIDTH / 2}" y="{HEIGHT - 14}" text-anchor="middle">epoch 1 to {len(values)}</text>',
        f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>',
        *(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points),
    ]
