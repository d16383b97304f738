"""The parts of plots: an empty one with its axes, bars over bins, a fitted law. Knows no report.

Colours are read on light and dark ground alike; what is neither (axes, grids) the page's own script colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bokeh.models import AdaptiveTicker, BasicTicker, ColumnDataSource, HoverTool, NumeralTickFormatter
from bokeh.plotting import figure

from workers.report.shapes import PowerLaw

#: The same families as in the page's style sheet; a canvas does not inherit them.
FONT = (
    'system-ui, "Segoe UI", "Noto Sans SC", "Noto Sans CJK SC", "Source Han Sans SC", "PingFang SC", '
    '"Hiragino Sans GB", "Microsoft YaHei", sans-serif'
)
ACCENT = "#2f80a8"
FIT = "#d0663c"
#: Dots.
HEIGHT = 300
#: Points of a fitted line.
FIT_POINTS = 40


def source_of(name: str, **columns: Sequence[Any]) -> ColumnDataSource:
    """Return the data of a plot, under a name by which scripts and tests find them."""
    return ColumnDataSource(data={column: list(values) for column, values in columns.items()}, name=name)


def empty_plot(x: str, y: str, tooltips: list[tuple[str, str]], **options: Any) -> Any:
    """Return an empty plot with named axes; `tooltips` show what stands under the pointer."""
    made: Any = figure(
        **{
            "height": HEIGHT,
            "sizing_mode": "stretch_width",
            "toolbar_location": None,
            "tools": [HoverTool(tooltips=tooltips, mode="mouse")] if tooltips else [],
            "x_axis_label": x,
            "y_axis_label": y,
            "background_fill_color": None,
            "border_fill_color": None,
            "outline_line_color": None,
            "min_border_left": 12,
            "min_border_right": 16,
            **options,
        }
    )
    for axis in made.axis:
        axis.axis_label_text_font = axis.major_label_text_font = FONT
        axis.axis_label_text_font_size, axis.major_label_text_font_size = "12px", "12px"
        axis.axis_label_text_font_style = "normal"
        axis.minor_tick_line_color = None
        axis.major_tick_in = 0
        axis.major_tick_out = 4
    for grid in made.grid:
        grid.grid_line_alpha = 0.6
    made.xgrid.grid_line_color = None
    return made


def count_whole(*axes: Any) -> None:
    """Let axes show whole numbers, with their thousands apart."""
    for axis in axes:
        axis.formatter = NumeralTickFormatter(format="0,0")
        if isinstance(axis.ticker, BasicTicker):
            # There is no half of a document.
            axis.ticker = AdaptiveTicker(mantissas=[1, 2, 5], min_interval=1, desired_num_ticks=5)


def add_law(made: Any, law: PowerLaw | None, xs: Sequence[int], *, logarithmic: bool = False, unit: int = 1) -> None:
    """Draw a fitted law between the first and the last x, of which the axis shows so many as one."""
    if law is None or not xs:
        return
    first, last = max(1, min(xs)), max(xs)
    if logarithmic:
        places = [first * (last / first) ** (step / (FIT_POINTS - 1)) for step in range(FIT_POINTS)]
    else:
        places = [first + (last - first) * step / (FIT_POINTS - 1) for step in range(FIT_POINTS)]
    source = source_of("law", x=[place / unit for place in places], y=[law.at(place) for place in places])
    line = made.line("x", "y", source=source, line_color=FIT, line_width=1.5, line_dash=[6, 4])
    for tool in made.tools:
        tool.renderers = [one for one in made.renderers if one is not line]


def add_bins(made: Any, source: ColumnDataSource, left: str, right: str, top: str) -> None:
    """Draw bars that touch each other, over bins that are columns of the data."""
    # A line of their own colour closes the seams that appear where they do not end on whole dots.
    made.quad(
        left=left, right=right, top=top, bottom=0, source=source, fill_color=ACCENT, line_color=ACCENT, line_width=0.75
    )
    made.y_range.start = 0
    made.x_range.range_padding = 0.01
