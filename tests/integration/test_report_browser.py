"""The page of a report in a real browser. HANMILL_TEST_PICTURES=DIR has it take the pictures of the documentation."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from storage.engine import transact
from storage.sources import ListingOptions
from tests.support.availability import find_test_data, need_module
from tests.support.browser import OpenPage, take_picture
from tests.support.inline_mill import InlineMill
from tests.support.mill_results import open_mill
from tests.support.report_page import HOSTILE, Page, mill_everything
from workers.cli.main import app
from workers.report.showing import visible
from workers.settings import load_settings

need_module("playwright")

if TYPE_CHECKING:
    from playwright.sync_api import Page as Tab

pytestmark = pytest.mark.browser

CORPUS = "<b>新闻 & \"联播'</b>"


@pytest.fixture
def mill(home: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[InlineMill]:
    """Return a mill whose database the commands find."""
    monkeypatch.setenv("HANMILL_DATABASE_URL", sqlite_url)
    load_settings.cache_clear()
    with open_mill(home, sqlite_url, max_failures=1) as made:
        yield made


def make_page(corpus: str, path: Path, *arguments: str) -> Path:
    made = CliRunner().invoke(app, ["report", corpus, "--to", str(path), *arguments], catch_exceptions=False)
    assert made.exit_code == 0, made.output
    return path


def poison_words(mill: InlineMill) -> None:
    """Write hostile words in place of frequent ones, as no segmenter would."""

    def work(connection: Any) -> None:
        words = connection.scalars(text("SELECT word FROM word_counts ORDER BY count DESC, word LIMIT 80 OFFSET 20"))
        for word, frequent in zip(HOSTILE, words.all()[::7], strict=False):
            change = text("UPDATE word_counts SET word = :new WHERE word = :old")
            connection.execute(change, {"new": word, "old": frequent})

    transact(mill.parts.engine, work)


def open_report(open_page: OpenPage, path: Path, **options: Any) -> tuple[Tab, list[str]]:
    """Open a page and wait until all is drawn; return it and what the browser complains about."""
    tab = open_page(**options)
    tab.set_viewport_size({"width": 1280, "height": 900})
    complaints: list[str] = []
    tab.on("console", lambda one: complaints.append(one.text) if one.type in {"error", "warning"} else None)
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    # A dialog that nobody listens to is closed at once; that it was opened must be noted.
    tab.add_init_script(
        "for (const name of ['alert', 'confirm', 'prompt']) window[name] = (text) => console.error(text)"
    )
    tab.goto(path.as_uri())
    tab.wait_for_selector("html[data-ready=yes]")
    return tab, complaints


def test_a_reader_sorts_searches_and_draws_and_hostile_words_do_nothing(
    mill: InlineMill, open_page: OpenPage, tmp_path: Path
) -> None:
    from playwright.sync_api import expect  # noqa: PLC0415 - slow

    mill_everything(mill, tmp_path, CORPUS)
    poison_words(mill)
    path = make_page(CORPUS, tmp_path / "page.html", "--words", "150")
    check_text_alone(path)
    tab, complaints = open_report(open_page, path)
    # All that was made of plots is drawn, and hostile words are words.
    plots = tab.locator(".plot")
    assert plots.count() == len(Page(path.read_text("utf-8")).plots)
    assert tab.evaluate("Bokeh.documents.length") == plots.count()
    expect(tab.locator("h1")).to_have_text(CORPUS)
    assert tab.locator("img, b").count() == 0
    check_pointer(tab, Page(path.read_text("utf-8")).sources["tokens"]["label"])
    check_table(tab)
    check_times(tab)
    check_schemes(tab)
    check_widths(tab)
    assert complaints == []
    directory = os.environ.get("HANMILL_TEST_PICTURES")
    if directory:
        take_pictures(mill, open_page, tmp_path, Path(directory))


def check_text_alone(path: Path) -> None:
    """Nothing on the page is more than text, and the page may load nothing."""
    html = path.read_text(encoding="utf-8")
    page = Page(html)
    assert {word for _, word, *_ in page.words()} >= set(HOSTILE)
    assert {word for word, *_ in page.times["words"]} >= set(HOSTILE)
    assert page.tags & {"img", "iframe", "object", "embed", "base", "b"} == set()
    # Two scripts that run and two that are data, whatever the words say.
    assert len(page.scripts) == 4
    assert [address for address in page.addresses if not address.startswith(("#", "data:,"))] == []
    data = page.scripts["plot-data"] + page.scripts["time-data"]
    assert set("<>&\u2028") & set(data) == set()
    policy = html.split('http-equiv="Content-Security-Policy" content="', 1)[1].split('"', 1)[0]
    assert policy.startswith("default-src &#39;none&#39;; script-src &#39;sha256-")
    assert "unsafe-eval" not in policy


def check_table(tab: Tab) -> None:
    """The table of words sorts by each column, both ways, and finds words."""
    shown = tab.locator("#word-table tbody tr:not([hidden])")
    assert shown.count() == 150

    def column(number: int) -> list[str]:
        return [one.replace(",", "") for one in shown.locator(f"td:nth-child({number})").all_text_contents()]

    for number in (1, 3, 4, 5, 6):
        head = tab.locator(f"#word-table th:nth-child({number})")
        head.get_by_role("button").click()
        for _ in range(2):
            values = [float(one) for one in column(number)]
            is_up = head.get_attribute("aria-sort") == "ascending"
            assert values == sorted(values, reverse=not is_up)
            head.get_by_role("button").click()
    tab.locator("#word-table th:nth-child(2) button").click()
    words = shown.locator("td[data-word]").evaluate_all("(cells) => cells.map((one) => one.dataset.word)")
    # As a dictionary orders them: by their sounds.
    assert words == tab.evaluate("(words) => words.toSorted(new Intl.Collator('zh').compare)", words)
    assert words.index("一种") > words.index("表明")
    tab.locator("#word-table th:nth-child(1) button").click()
    assert column(1) == [str(rank) for rank in range(1, 151)]
    for word in HOSTILE:
        # A browser lets nobody type a line separator or a tab into a field of one line.
        tab.locator("#search").fill(word.partition("\u2028")[0].partition("\t")[0])
        assert visible(word) in shown.locator("bdi").all_text_contents()
    tab.locator("#search").fill("no such word")
    assert shown.count() == 0
    tab.locator("#search").fill("")
    tab.locator("#letterless").check()
    assert "，" in column(2)
    assert tab.locator("#rows-shown").text_content() == f"{shown.count()} rows shown"


def check_times(tab: Tab) -> None:
    """Any word of the table can be drawn and taken away again; what is none is refused."""
    chips = tab.locator("#chips button")
    assert chips.count() == 5
    tab.locator("#word-input").fill("no such word")
    tab.locator("#word-input").press("Enter")
    assert tab.locator("#word-answer").text_content() == "not among the words of the table"
    for _ in range(5):
        chips.first.click()
    assert chips.count() == 0
    for word in HOSTILE[:6]:
        tab.locator("#word-input").fill(word)
        tab.locator("#word-input").press("Enter")
    assert chips.locator("bdi").all_text_contents() == [visible(word) for word in HOSTILE[:6]]
    drawn = tab.evaluate(
        "Bokeh.documents.flatMap((one) => [...one.all_models]).filter((one) => /^line-/.test(one.name ?? ''))"
        ".map((one) => one.data.word[0])"
    )
    assert sorted(drawn) == sorted(visible(word) for word in HOSTILE[:6])
    tab.locator("#word-input").fill(HOSTILE[8])
    tab.locator("#word-form button").click()
    assert tab.locator("#word-answer").text_content() == "remove a word first: the plot has room for 6"


def check_pointer(tab: Tab, labels: list[str]) -> None:
    """What stands under the pointer is told, and is text too."""
    plot = tab.locator("#plot-words")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box is not None
    hostile = next(label for label in labels if label in map(visible, HOSTILE))
    row_height = (box["height"] - 50) / len(labels)
    # A little to the right of where the bars begin.
    plot.hover(position={"x": box["width"] * 0.26, "y": 5 + row_height * (labels.index(hostile) + 0.5)})
    tab.locator(".bk-Tooltip").get_by_text(hostile, exact=True).wait_for()
    assert tab.locator("img").count() == 0


def check_schemes(tab: Tab) -> None:
    """The button turns light to dark, and the plots with it."""
    ground = "getComputedStyle(document.body).backgroundColor"
    axes = "[...Bokeh.documents[0].all_models].find((one) => /Axis$/.test(one.type)).major_label_text_color"
    before = tab.evaluate(f"[{ground}, {axes}]")
    tab.locator("#theme").click()
    after = tab.evaluate(f"[{ground}, {axes}]")
    assert (before[0], after[0]) == ("rgb(255, 255, 255)", "rgb(21, 24, 28)")
    assert before[1] != after[1]


def check_widths(tab: Tab) -> None:
    """No part of the page is wider than the screen of a telephone, or of a desk."""
    for width in (390, 1280):
        tab.set_viewport_size({"width": width, "height": 900})
        tab.wait_for_function("document.documentElement.scrollWidth <= innerWidth")


def take_pictures(mill: InlineMill, open_page: OpenPage, tmp_path: Path, directory: Path) -> None:
    """Take pictures for the docs, of the report of three years of news."""
    data = find_test_data()
    if data is None:
        # Those that are there stay: they show years of news, which are too large to come along.
        print("the pictures of the report are left as they are: HANMILL_TEST_DATA names no texts")  # noqa: T201 - why
        return
    news = data / "news_xwlb" / "train.jsonl.gz"
    mill.run([news], "新闻联播", "count", listing=ListingOptions(key_field="id", date_field="date"))
    path = make_page("新闻联播", tmp_path / "page.html")
    for name, place, scheme in (("report", "body", "light"), ("report-times", "#times", "dark")):
        tab, _ = open_report(open_page, path, color_scheme=scheme)
        tab.locator(place).evaluate("(one) => one.scrollIntoView({behavior: 'instant'})")
        take_picture(tab, directory, name)
