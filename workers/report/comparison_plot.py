"""The plot of a comparison: every word by how large its difference is, and how sure. The browser draws it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from bokeh.core.properties import value
from bokeh.models import ColumnDataSource, HoverTool, NumeralTickFormatter
from bokeh.models.annotations import Span
from bokeh.plotting import figure
from rich.cells import cell_len

from workers.comparison import KeyWord
from workers.report.drawing import ACCENT, FIT, FONT
from workers.report.showing import visible

HEIGHT = 560
#: Labels are put where they do not cover each other on a plot of this size, in dots; on a wider one there is more room.
LABELLED_WIDTH, LABELLED_HEIGHT = 680, 440
#: A label's letters, in dots: half the width of a Chinese one, and the height of all; and how far it is from its word.
COLUMN_WIDTH, LINE_HEIGHT, GAP = 6.5, 16, 5
MOST_LABELS = 90


class Box(NamedTuple):
    """Where a label stands, in dots from the lower left corner."""

    left: float
    bottom: float
    right: float
    top: float

    def meets(self, other: Box) -> bool:
        """Say whether two labels would cover each other."""
        return (
            self.left < other.right and other.left < self.right and self.bottom < other.top and other.bottom < self.top
        )


def draw(words: Sequence[KeyWord], names: tuple[str, str], phrases: Mapping[str, str]) -> Any:
    """Return the plot of some words, those of equal frequency left out; `names` are the corpora's, as shown."""
    shown = [word for word in words if word.log_likelihood > 0]
    labels = labelled(shown)
    made: Any = figure(
        height=HEIGHT,
        sizing_mode="stretch_width",
        toolbar_location="above",
        tools="pan,wheel_zoom,box_zoom,reset",
        y_axis_type="log",
        x_axis_label=phrases["ratio_axis"].format(a=names[0], b=names[1]),
        y_axis_label=phrases["likelihood_axis"],
        background_fill_alpha=0,
        border_fill_alpha=0,
        outline_line_color=None,
        **_x_range([word.log_ratio for word in shown]),
    )
    made.toolbar.logo = None
    source = ColumnDataSource(
        name="words",
        data={
            "word": [visible(word.word) for word in shown],
            "label": [visible(word.word) if number in labels else "" for number, word in enumerate(shown)],
            "ratio": [word.log_ratio for word in shown],
            "likelihood": [word.log_likelihood for word in shown],
            "count_a": [word.count_a for word in shown],
            "count_b": [word.count_b for word in shown],
            "colour": [ACCENT if word.log_ratio > 0 else FIT for word in shown],
        },
    )
    dots = made.scatter(
        "ratio", "likelihood", source=source, size=5, fill_color="colour", line_color=None, fill_alpha=0.55
    )
    style = {"text_font": value(FONT), "text_font_size": "13px", "text_color": "colour", "text_baseline": "middle"}
    made.text("ratio", "likelihood", text="label", source=source, x_offset=GAP, **style)
    counts = [(name, f"@{column}{{0,0}}") for name, column in zip(names, ("count_a", "count_b"), strict=True)]
    figures = [("log-likelihood", "@likelihood{0,0.0}"), ("log ratio", "@ratio{0.00}")]
    made.add_tools(HoverTool(tooltips=[("", "@word"), *counts, *figures], renderers=[dots], visible=False))
    made.add_layout(Span(location=0, dimension="height", line_color="#888888", line_dash=[4, 4]))
    _style_axes(made)
    return made


def labelled(words: Sequence[KeyWord]) -> set[int]:
    """Return the numbers of the words whose labels find room, the surest differences first."""
    if not words:
        return set()
    ratios = [word.log_ratio for word in words]
    heights = [math.log10(word.log_likelihood) for word in words]
    x_scale = LABELLED_WIDTH / max(max(ratios) - min(ratios), 1e-9)
    y_scale = LABELLED_HEIGHT / max(max(heights) - min(heights), 1e-9)
    order = sorted(range(len(words)), key=lambda number: -heights[number])
    placed: dict[int, Box] = {}
    for number in order:
        left = (ratios[number] - min(ratios)) * x_scale + GAP
        middle = (heights[number] - min(heights)) * y_scale
        right = left + COLUMN_WIDTH * cell_len(visible(words[number].word))
        box = Box(left, middle - LINE_HEIGHT / 2, right, middle + LINE_HEIGHT / 2)
        if not any(box.meets(other) for other in placed.values()):
            placed[number] = box
        if len(placed) == MOST_LABELS:
            break
    return set(placed)


def _style_axes(made: Any) -> None:
    for axis in made.axis:
        axis.axis_label_text_font = axis.major_label_text_font = FONT
        axis.axis_label_text_font_size = axis.major_label_text_font_size = "12px"
        axis.axis_label_text_font_style = "normal"
        axis.minor_tick_line_color = None
    made.xgrid.grid_line_color = None
    made.yaxis.formatter = NumeralTickFormatter(format="0,0.[00]")


def _x_range(ratios: Sequence[float]) -> dict[str, Any]:
    """Return a range that holds all words, and to the right of them their labels."""
    if not ratios:
        return {}
    first, last = min(ratios), max(ratios)
    span = max(last - first, 1.0)
    return {"x_range": (first - 0.04 * span, last + 0.12 * span)}
