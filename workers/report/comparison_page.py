"""Makes the page of a comparison: what two corpora have in common, a plot of their words, and these in a table.

It is made as the page of a report is (`frame`): one file, no network, words escaped.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from markupsafe import Markup

from workers.comparison import Comparison, KeyWord
from workers.report.frame import asset, bokeh_script, environment, json_in_html, plot_items, policy_of, write_page
from workers.report.phrases import Language
from workers.report.showing import decimal, visible, whole


def write_comparison(path: Path, comparison: Comparison, words: Sequence[KeyWord], language: Language) -> int:
    """Write the page of a comparison whose words were all read; return how many it shows. Raises `UsageError`."""
    write_page(path, build_page(comparison, words, language))
    return len(words)


def build_page(comparison: Comparison, words: Sequence[KeyWord], language: Language) -> str:
    """Return the page of a comparison."""
    from workers.report.comparison_plot import draw  # noqa: PLC0415 - bokeh takes a second to load

    phrases = phrases_of(language)
    names = (_shown_name(comparison.a.corpus), _shown_name(comparison.b.corpus))
    items = plot_items({"plot-comparison": draw(words, names, phrases)})
    # What sorts and searches the words of a report does the same with these.
    scripts = [bokeh_script(), asset("page.js")]
    return (
        environment()
        .from_string(asset("comparison.html.jinja"))
        .render(
            comparison=comparison,
            names=names,
            words=words,
            language=language,
            phrases=phrases,
            version=version("hanmill"),
            visible=visible,
            whole=whole,
            decimal=decimal,
            # All of them are our own, and none holds what would end its element.
            style=Markup(asset("page.css")),  # noqa: S704
            scripts=[Markup(script) for script in scripts],  # noqa: S704
            policy=policy_of(scripts),
            plots_json=json_in_html(items),
        )
    )


def _shown_name(corpus: str) -> str:
    # A blank in a name needs no sign of its own, as it does where it is a whole token.
    return " ".join(map(visible, corpus.split(" ")))


def phrases_of(language: Language) -> Mapping[str, str]:
    """Return what the page says in a language, by name."""
    both: Mapping[str, Mapping[str, Any]] = tomllib.loads(asset("comparison_phrases.toml"))
    return {name: str(texts[language]) for name, texts in both.items()}
