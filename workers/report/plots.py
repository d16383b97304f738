"""The plots of a report, as bokeh's models. The browser draws them, their text too, in whatever fonts it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bokeh.models import (
    DatetimeTickFormatter,
    FixedTicker,
    NumeralTickFormatter,
    Range1d,
)

from workers.report import contents
from workers.report.drawing import ACCENT, add_bins, add_law, count_whole, empty_plot, source_of
from workers.report.showing import visible

#: Of the lines of words over time; the page's script has no others.
LINES = ("#2f80a8", "#d0663c", "#4f9d69", "#a2659c", "#b98b2c", "#6d7b94")
#: Words of the bar plot, and lines of the plot of words over time.
BARS = 30
BAR_HEIGHT = 20
#: Longest label of a bar.
LABEL_CHARACTERS = 12
#: What an axis of tokens counts in, and how it is called.
UNITS = ((1_000_000, "millions_axis"), (1000, "thousands_axis"), (1, "tokens_axis"))
#: About a month, in milliseconds.
MONTH_MS = 30 * 86_400_000

Phrases = Mapping[str, str]


def draw(report: contents.Report, phrases: Phrases) -> dict[str, Any]:
    """Return the plots of what a report has, by the name of their place on the page."""
    plots: dict[str, Any] = {}
    if report.words is not None and report.words.ranks:
        plots["plot-words"] = _top_words(report.words, phrases)
        plots["plot-ranks"] = _ranks(report.words, phrases)
    if report.growth is not None:
        plots["plot-growth"] = _growth(report.growth, phrases)
    if report.lengths is not None:
        plots["plot-lengths"] = _lengths(report.lengths, phrases)
    if report.times is not None:
        plots["plot-periods"] = _periods(report.times, phrases)
        plots["plot-times"] = _times(report.times, phrases)
    if report.labels is not None and report.labels.counts:
        plots["plot-labels"] = _labels(report.labels, phrases)
    for run in report.runs:
        if run.throughput:
            plots[f"plot-throughput-{run.view['id']}"] = _throughput(run, phrases)
        if run.durations:
            plots[f"plot-durations-{run.view['id']}"] = _durations(run, phrases)
    return plots


def _bars(name: str, rows: Sequence[tuple[str, int]], x: str, phrases: Phrases) -> Any:
    """Return horizontal bars, the first row at the top."""
    labels = [visible(label) for label, _ in rows]
    # From the bottom up, as the axis goes.
    places = list(range(len(rows)))[::-1]
    source = source_of(name, place=places, label=labels, number=[number for _, number in rows])
    made = empty_plot(
        x,
        "",
        [("", "@label"), (phrases[name], "@number{0,0}")],
        height=BAR_HEIGHT * len(rows) + 60,
        y_range=Range1d(start=-0.6, end=len(rows) - 0.4),
        x_range=Range1d(start=0, end=max([number for _, number in rows], default=1) * 1.05),
    )
    made.hbar(y="place", right="number", height=0.72, source=source, fill_color=ACCENT, line_color=None)
    made.xgrid.grid_line_color, made.ygrid.grid_line_color = "#888888", None
    made.yaxis.ticker = FixedTicker(ticks=places)
    made.yaxis.major_label_overrides = {place: _short(label) for place, label in zip(places, labels, strict=True)}
    made.yaxis.major_tick_line_color = None
    made.yaxis.axis_line_color = None
    count_whole(made.xaxis)
    made.xaxis.formatter = NumeralTickFormatter(format="0.[0]a")
    return made


def _short(label: str) -> str:
    return label if len(label) <= LABEL_CHARACTERS else f"{label[: LABEL_CHARACTERS - 1]}…"


def _top_words(words: contents.Words, phrases: Phrases) -> Any:
    rows = [(row.word, row.occurrences) for row in words.rows if row.rank is not None][:BARS]
    return _bars("tokens", rows, phrases["count_axis"], phrases)


def _labels(labels: contents.Labels, phrases: Phrases) -> Any:
    return _bars("documents", labels.counts[:BARS], phrases["documents_axis"], phrases)


def _ranks(words: contents.Words, phrases: Phrases) -> Any:
    made = empty_plot(
        phrases["rank_axis"],
        phrases["count_axis"],
        [(phrases["rank"], "@rank{0,0}"), (phrases["tokens"], "@count{0,0}")],
        x_axis_type="log",
        y_axis_type="log",
    )
    ranks, counts = zip(*words.ranks, strict=True)
    source = source_of("ranks", rank=ranks, count=counts)
    made.scatter("rank", "count", source=source, size=4, fill_color=ACCENT, line_color=None)
    add_law(made, words.zipf, ranks, logarithmic=True)
    made.xaxis.formatter = NumeralTickFormatter(format="0a")
    count_whole(made.yaxis)
    return made


def _growth(growth: contents.Growth, phrases: Phrases) -> Any:
    tokens, words = zip(*growth.points, strict=True)
    # Millions on the axis itself would not fit beside each other on a telephone.
    unit, label = next((one for one in UNITS if tokens[-1] >= 2 * one[0]), UNITS[-1])
    made = empty_plot(
        phrases[label],
        phrases["distinct_axis"],
        [(phrases["tokens"], "@tokens{0,0}"), (phrases["distinct"], "@words{0,0}")],
    )
    source = source_of("growth", tokens=tokens, words=words, at=[number / unit for number in tokens])
    made.scatter("at", "words", source=source, size=5, fill_color=ACCENT, line_color=None)
    add_law(made, growth.heaps, tokens, unit=unit)
    count_whole(made.yaxis)
    return made


def _lengths(lengths: contents.Lengths, phrases: Phrases) -> Any:
    made = empty_plot(
        phrases["length_axis"],
        phrases["documents_axis"],
        [(phrases["characters"], "@from{0,0}–@to{0,0}"), (phrases["documents"], "@documents{0,0}")],
    )
    begins, ends, documents = zip(*lengths.bins, strict=True)
    columns = {"from": begins, "to": ends, "end": [end + 1 for end in ends], "documents": documents}
    add_bins(made, source_of("lengths", **columns), "from", "end", "documents")
    count_whole(made.xaxis, made.yaxis)
    return made


def _instant_ms(period: int, *, by_year: bool, later: int = 0) -> float:
    """Return the begin of a month (202407) or a year (2024), or of a later one, in milliseconds since 1970."""
    months = period * 12 + later * 12 if by_year else period // 100 * 12 + period % 100 - 1 + later
    return datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC).timestamp() * 1000


def _named(period: int, *, by_year: bool) -> str:
    return str(period) if by_year else f"{period // 100}-{period % 100:02}"


def _on_calendar(made: Any) -> None:
    made.xaxis.formatter = DatetimeTickFormatter(years="%Y", months="%Y-%m", days="%Y-%m-%d", hours="%Y-%m-%d")
    made.xaxis.ticker.desired_num_ticks = 6


def _periods(times: contents.Times, phrases: Phrases) -> Any:
    made = empty_plot(
        phrases["years_axis" if times.by_year else "months_axis"],
        phrases["documents_axis"],
        [("", "@period"), (phrases["documents"], "@documents{0,0}"), (phrases["tokens"], "@tokens{0,0}")],
        x_axis_type="datetime",
        height=200,
    )
    source = source_of(
        "periods",
        period=[_named(one.period, by_year=times.by_year) for one in times.periods],
        begin=[_instant_ms(one.period, by_year=times.by_year) for one in times.periods],
        end=[_instant_ms(one.period, by_year=times.by_year, later=1) for one in times.periods],
        documents=[one.documents for one in times.periods],
        tokens=[one.tokens for one in times.periods],
    )
    add_bins(made, source, "begin", "end", "documents")
    _on_calendar(made)
    count_whole(made.yaxis)
    return made


def _times(times: contents.Times, phrases: Phrases) -> Any:
    """Return a plot of as many lines as there are colours, for words that the page's script may change."""
    made = empty_plot(
        phrases["years_axis" if times.by_year else "months_axis"],
        phrases["per_million_axis"],
        [("", "@word"), ("", "@period"), (phrases["per_million"], "@rate{0,0.0}"), (phrases["tokens"], "@count{0,0}")],
        x_axis_type="datetime",
    )
    instants = [_instant_ms(one.period, by_year=times.by_year) for one in times.periods]
    names = [_named(one.period, by_year=times.by_year) for one in times.periods]
    series = dict(times.words)
    shown = [*times.changing[: len(LINES) - 1]] or [word for word, _ in times.words[: len(LINES) - 1]]
    for number, colour in enumerate(LINES):
        word = shown[number] if number < len(shown) else None
        counts = series[word] if word is not None else ()
        source = source_of(
            f"line-{number}",
            at=instants[: len(counts)],
            period=names[: len(counts)],
            count=counts,
            rate=_rates(counts, times.periods),
            word=[visible(word or "")] * len(counts),
        )
        made.line("at", "rate", source=source, line_color=colour, line_width=2)
        made.scatter("at", "rate", source=source, size=4, fill_color=colour, line_color=None)
    # Ranges of its own accord would complain when the last word is taken away.
    margin_ms = (instants[-1] - instants[0]) * 0.02 or MONTH_MS
    made.x_range = Range1d(start=instants[0] - margin_ms, end=instants[-1] + margin_ms)
    made.y_range = Range1d(start=0, end=1)
    made.name = "times"
    _on_calendar(made)
    count_whole(made.yaxis)
    return made


def _rates(counts: Sequence[int], periods: Sequence[contents.PeriodFigures]) -> list[float]:
    """Return occurrences per million tokens; a period without tokens has no number, and the line a gap."""
    return [
        count / one.tokens * 1e6 if one.tokens else float("nan") for count, one in zip(counts, periods, strict=False)
    ]


def _throughput(run: contents.JobRun, phrases: Phrases) -> Any:
    made = empty_plot(
        phrases["elapsed_axis"],
        phrases["rate_axis"],
        [(phrases["elapsed_axis"], "@begin{0,0.0}–@end{0,0.0}"), (phrases["rate_axis"], "@rate{0,0.0}")],
        height=220,
    )
    begins, ends, rates = zip(*run.throughput, strict=True)
    source = source_of(f"throughput-{run.view['id']}", begin=begins, end=ends, rate=rates)
    add_bins(made, source, "begin", "end", "rate")
    count_whole(made.yaxis)
    return made


def _durations(run: contents.JobRun, phrases: Phrases) -> Any:
    made = empty_plot(
        phrases["duration_axis"],
        phrases["shards_axis"],
        [(phrases["duration_axis"], "@begin{0,0.[000]}–@end{0,0.[000]}"), (phrases["shards_axis"], "@shards{0,0}")],
        height=220,
    )
    begins, ends, shards = zip(*run.durations, strict=True)
    source = source_of(f"durations-{run.view['id']}", begin=begins, end=ends, shards=shards)
    add_bins(made, source, "begin", "end", "shards")
    count_whole(made.yaxis)
    return made
