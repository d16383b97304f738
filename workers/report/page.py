"""Makes the page of a report. Reads no database and draws no plot."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from markupsafe import Markup

from workers.report import contents
from workers.report.frame import asset, bokeh_script, environment, json_in_html, plot_items, policy_of
from workers.report.phrases import Language, phrases_of
from workers.report.showing import decimal, visible, whole

#: Digits that are shown of a digest.
DIGEST_DIGITS = 16


def build_page(report: contents.Report, language: Language, made_at: str) -> str:
    """Return the page of a report."""
    from workers.report.plots import BARS, LINES, draw  # noqa: PLC0415 - bokeh takes a second to load

    phrases = phrases_of(language)
    scripts = [bokeh_script(), asset("page.js")]
    template = environment().from_string(asset("page.html.jinja"))
    template.globals.update(
        say=_Sayer(phrases), figure=_figure, visible=visible, whole=whole, decimal=decimal, month=_month
    )
    template.globals.update(code=_code, power=_power)
    return template.render(
        report=report,
        language=language,
        made_at=made_at,
        version=version("hanmill"),
        # Both are our own, and neither holds what would end its element.
        style=Markup(asset("page.css")),  # noqa: S704
        scripts=[Markup(script) for script in scripts],  # noqa: S704
        policy=policy_of(scripts),
        plots_json=json_in_html(plot_items(draw(report, phrases))),
        times_json=json_in_html(_times(report)),
        commands=_commands(report.corpus),
        options=_options(report.words),
        outcomes=sorted({outcome for run in report.runs for outcome, _ in run.attempts}, key=str),
        bars=BARS,
        lines=LINES,
    )


def _times(report: contents.Report) -> Mapping[str, Any] | None:
    """Return the words by period, for the script that changes the plot."""
    if report.times is None:
        return None
    return {
        "tokens": [one.tokens for one in report.times.periods],
        # Lists and not objects: `__proto__` is a word like any other.
        "words": [[word, visible(word), counts] for word, counts in report.times.words],
        "changing": list(report.times.changing),
    }


def _commands(corpus: str) -> dict[str, str]:
    name = shlex.quote(corpus)
    count = f"hanmill run INPUT --corpus {name} --do count"
    return {
        "words": count,
        "times": f"{count} --date-field NAME",
        "summaries": f"hanmill run INPUT --corpus {name} --do summarize",
        "labels": f"hanmill run INPUT --corpus {name} --do classify",
    }


def _options(words: contents.Words | None) -> str:
    """Return what the counts were asked to be, as `name value`, without what was left as it is."""
    given = (words.parameters if words else {}).items()
    # Word lists are named by their digests, of which the first digits do.
    return ", ".join(
        f"{name} {value[:DIGEST_DIGITS] if isinstance(value, str) else json.dumps(value)}"
        for name, value in given
        if isinstance(value, bool) or value
    )


def _month(period: int) -> str:
    return f"{period // 100}-{period % 100:02}" if period > 9999 else str(period)  # noqa: PLR2004 - a year has four digits


def _figure(name: str, number: float, shown: str | None = None) -> Markup:
    """Return a number with its name and its exact value beside what is shown of it."""
    text = shown if shown is not None else f"{number:,}"
    return Markup('<data data-figure="{}" value="{}">{}</data>').format(name, number, text)


def _code(command: str) -> Markup:
    return Markup("<code>{}</code>").format(command)


def _power(exponent: Markup) -> Markup:
    return Markup("<sup>{}</sup>").format(exponent)


class _Sayer:
    """Says phrases: what is filled in is escaped, unless it is HTML already."""

    def __init__(self, phrases: Mapping[str, str]) -> None:
        self._phrases = phrases

    def __call__(self, name: str, **values: Any) -> Markup:
        return Markup(self._phrases[name]).format(**values)  # noqa: S704 - phrases are our own
