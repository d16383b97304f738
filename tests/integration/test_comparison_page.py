"""The page of a comparison in a real browser: it says what SQL says, sorts, searches, and takes no word for HTML."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner, Result

from tests.support.availability import need_module
from tests.support.mill_results import open_mill, write_texts

need_module("bokeh")

from workers.cli.main import app
from workers.comparison import KeyWord
from workers.report.comparison_page import phrases_of
from workers.report.comparison_plot import labelled

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Page

#: Corpora and words that would be something else if a page believed them.
HOSTILE = "<img src=x onerror=alert(1)>"
POEMS = ["明月几时有，明月，明月。", "</script><script>alert(1)</script>", "__proto__ 把酒问青天 &amp; \u202e"]
NEWS = ["中国经济发展，明月卫星。", "经济新闻：发展，发展，再发展！"]


@pytest.fixture
def page_file(home: Path, tmp_path: Path) -> Path:
    """Return the page of two corpora, and leave them in the home."""
    with open_mill(home, "") as mill:
        mill.run([write_texts(tmp_path / "poems.jsonl", POEMS)], HOSTILE, "count")
        mill.run([write_texts(tmp_path / "news.jsonl", NEWS)], "新闻", "count")
    file = tmp_path / "page.html"
    assert "words" in run("--to", file).stderr
    return file


def run(*arguments: object) -> Result:
    given = ["compare", HOSTILE, "新闻", "--all", *map(str, arguments)]
    return CliRunner().invoke(app, given, catch_exceptions=False)


@pytest.mark.browser
def test_the_page_shows_what_the_database_holds_and_can_be_worked_with(page_file: Path, browser_page: Page) -> None:
    said: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        said.extend([message.text] if message.type in {"error", "warning"} else [])

    browser_page.on("console", hear)
    browser_page.on("pageerror", lambda error: said.append(str(error)))
    browser_page.on("dialog", lambda dialog: said.append(dialog.message))
    browser_page.goto(page_file.as_uri())
    browser_page.wait_for_selector("html[data-ready]")
    found = json.loads(run("--format", "json", "-n", 1000).stdout)
    for name, expected in (
        ("tokens-a", found["a"]["tokens"]),
        ("words-b", found["b"]["words"]),
        ("own-words-a", found["a"]["own_words"]),
        ("shared-words", found["shared_words"]),
        ("divergence", found["divergence"]),
    ):
        assert float(browser_page.locator(f"[data-figure={name}]").get_attribute("value") or "nan") == expected
    rows = "[...document.querySelectorAll('#word-table tbody tr:not([hidden]) [data-word]')]"
    words = f"() => {rows}.map((cell) => cell.dataset.word)"
    assert browser_page.evaluate(words) == [row["word"] for row in found["words"]]
    browser_page.locator("#word-table thead button").nth(2).click()
    by_count = sorted(found["words"], key=lambda row: -row["count_a"])
    assert browser_page.evaluate(words) == [row["word"] for row in by_count]
    browser_page.locator("#search").fill("发展")
    assert browser_page.evaluate(words) == ["发展"]
    drawn = "() => Bokeh.documents[0].get_model_by_name('words').data.word.length"
    assert browser_page.evaluate(drawn) == sum(row["log_likelihood"] > 0 for row in found["words"])
    assert browser_page.locator("h1").inner_text().startswith(HOSTILE)
    assert said == []


def test_every_phrase_is_said_in_both_languages() -> None:
    english, chinese = phrases_of("en"), phrases_of("zh")
    assert all(english.values())
    assert all(chinese.values())


def key_word(word: str, log_likelihood: float, log_ratio: float) -> KeyWord:
    return KeyWord(word, 1, 1.0, 1, 1.0, log_likelihood, log_ratio, 0.0, 0.0, 1, 1)


def test_labels_do_not_cover_each_other_and_the_surest_come_first() -> None:
    words = [key_word("中国", 100.0, 1.0), key_word("发展", 101.0, 1.001), key_word("月", 10.0, -5.0)]
    assert labelled(words) == {1, 2}
    assert labelled([]) == set()
    # The same two fill the whole height when nothing stands below them.
    assert labelled(words[:2]) == {0, 1}
