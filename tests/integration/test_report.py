"""The page of `hanmill report`: every number on it is what plain SQL says, and nothing on it is more than text."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text
from typer.testing import CliRunner, Result

from storage.engine import reading, transact
from storage.sources import ListingOptions
from tests.support.inline_mill import InlineMill
from tests.support.mill_results import open_mill, write_texts
from tests.support.report_page import FINGERPRINT, LABELS, Page, Written, mill_everything, summarize
from workers.cli.main import app
from workers.report.showing import visible
from workers.settings import load_settings

Ask = Callable[..., list[Any]]
#: A corpus may have any name.
CORPUS = "<b>新闻 & \"联播'</b>"
GENERATION = "(SELECT MAX(id) FROM generations WHERE published_at IS NOT NULL)"


@pytest.fixture
def mill(home: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[InlineMill]:
    """Return a mill whose database the commands find, on each kind in turn."""
    yield from found_by_commands(home, database_url, monkeypatch)


@pytest.fixture
def sqlite_mill(home: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[InlineMill]:
    """Return a mill for what is the same on every database."""
    yield from found_by_commands(home, sqlite_url, monkeypatch)


def found_by_commands(home: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[InlineMill]:
    monkeypatch.setenv("HANMILL_DATABASE_URL", url)
    load_settings.cache_clear()
    with open_mill(home, url, max_failures=1) as made:
        yield made


@pytest.fixture
def ask(mill: InlineMill) -> Ask:
    """Return a function that asks plain SQL; rows of one column come as values."""

    def asked(statement: str, **values: Any) -> list[Any]:
        with reading(mill.parts.engine) as connection:
            rows = connection.execute(text(statement), values).all()
        return [row[0] if len(row) == 1 else tuple(row) for row in rows]

    return asked


def report(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["report", *map(str, arguments)], catch_exceptions=False)


def make_page(path: Path, *arguments: object) -> Page:
    made = report(*arguments, "--to", path)
    assert (made.exit_code, made.stdout) == (0, ""), made.output
    return Page(path.read_text(encoding="utf-8"))


def number(page: Page, name: str) -> float:
    """Return a figure, which is the same wherever it stands."""
    (found,) = page.figures[name]
    return float(found)


def law(points: list[tuple[float, float]]) -> tuple[float, float, float]:
    """Return scale, exponent and R² of a line through the logarithms, by numpy."""
    x, y = np.log(np.array(points)).T
    exponent, offset = np.polyfit(x, y, 1)
    return math.exp(offset), exponent, np.corrcoef(x, y)[0, 1] ** 2


def test_every_number_on_the_page_is_what_plain_sql_says(mill: InlineMill, ask: Ask, tmp_path: Path) -> None:
    written = mill_everything(mill, tmp_path, CORPUS)
    page = make_page(tmp_path / "page.html", CORPUS, "--words", 300)
    check_figures(page, ask, written)
    check_words(page, ask)
    check_plots(page, ask, written)
    check_labels(page, ask)
    check_summaries(page, ask, written)
    check_letters(page, ask, written)
    check_runs(page, ask)


def check_figures(page: Page, ask: Ask, written: Written) -> None:
    """Compare every number that has a name; a new one has to be added here."""
    counted = f"FROM word_counts WHERE generation_id = {GENERATION}"
    months = f"FROM corpus_months WHERE generation_id = {GENERATION}"
    (tokens, distinct), (hapaxes,) = (
        ask(f"SELECT SUM(count), COUNT(*) {counted}")[0],
        ask(f"SELECT COUNT(*) {counted} AND count = 1"),
    )
    ((documents, characters, first, last),) = ask(
        f"SELECT SUM(documents), SUM(characters), MIN(CASE WHEN month > 0 THEN month END), MAX(month) {months}"
    )
    undated = ask(f"SELECT SUM(documents) {months} AND month = 0")[0]
    assert (documents, characters, undated) == (
        len(written.records),
        sum(len(one) for _, one, _ in written.records),
        sum(month == 0 for _, _, month in written.records),
    )
    shown = [row for row in page.words() if row[0] != "–"]
    lengths = sorted(len(one) for _, one, _ in written.records)
    median = lengths[(len(lengths) + 1) // 2 - 1]
    assert number(page, "median-from") <= median <= number(page, "median-to")
    scale, exponent, r_squared = law(
        list(zip(page.sources["ranks"]["rank"], page.sources["ranks"]["count"], strict=True))
    )
    growth = page.sources["growth"]
    heaps_scale, heaps_exponent, heaps_r = law(list(zip(growth["tokens"], growth["words"], strict=True)))
    standing = ask("SELECT COUNT(*) FROM dead_letters WHERE state = 'standing'")[0]
    expected = {
        "documents": documents,
        "tokens": tokens,
        "distinct": distinct,
        "hapaxes": hapaxes,
        "characters": characters,
        "tokens-per-document": float(tokens) / float(documents),
        "first-period": first,
        "last-period": last,
        "labelled": ask(
            "SELECT COUNT(*) FROM documents JOIN label_scores USING (sha256) WHERE fingerprint = :one", one=FINGERPRINT
        )[0],
        "labels-decided": ask("SELECT COUNT(*) FROM documents JOIN document_labels USING (sha256)")[0],
        "summaries": ask("SELECT COUNT(*) FROM documents JOIN summaries USING (sha256)")[0],
        "letters": standing,
        "sources": ask("SELECT COUNT(*) FROM sources")[0],
        "source-bytes": ask("SELECT SUM(size) FROM sources")[0],
        "words-shown": len(shown),
        "letterless-shown": len(page.words()) - len(shown),
        "counting-job": ask(f"SELECT job_id FROM generations WHERE id = {GENERATION}")[0],
        "zipf-scale": scale,
        "zipf-exponent": exponent,
        "zipf-r-squared": r_squared,
        "heaps-scale": heaps_scale,
        "heaps-exponent": heaps_exponent,
        "heaps-r-squared": heaps_r,
        "mean-length": float(characters) / float(documents),
        "median-from": number(page, "median-from"),
        "median-to": number(page, "median-to"),
        "longer": sum(length > page.sources["lengths"]["to"][-1] for length in lengths),
        "dated": documents - undated,
        "undated": undated,
        "words-over-time": 300,
    }
    assert {name: number(page, name) for name in page.figures} == pytest.approx(
        {name: float(value) for name, value in expected.items()}
    )
    assert page.shown["characters"] == {f"{characters:,}"}


def check_words(page: Page, ask: Ask) -> None:
    """The table has the most frequent words in order; what has no letter is not ranked."""
    counted = ask(
        f"SELECT word, count, documents FROM word_counts WHERE generation_id = {GENERATION} ORDER BY count DESC, word"
    )
    rows = page.words()
    assert [row[1:] for row in rows] == [tuple(row) for row in counted[: len(rows)]]
    assert [int(rank) for rank, *_ in rows if rank != "–"] == list(range(1, 301))
    assert {word for rank, word, *_ in rows if rank == "–"} >= {"，", "。"}
    documents, tokens = number(page, "documents"), number(page, "tokens")
    for cells in page.tables["word-table"][1:]:
        (_, _), (word, shown), (count, shown_count), (_, per_million), (found, _), (_, share) = cells
        assert shown == visible(word["data-word"])
        assert shown_count == f"{int(count['data-value']):,}"
        assert per_million == f"{int(count['data-value']) / tokens * 1e6:,.1f}"
        assert share == f"{int(found['data-value']) / documents * 100:,.1f}"


def check_plots(page: Page, ask: Ask, written: Written) -> None:
    """What is drawn is what the rows say, too."""
    counted = f"FROM word_counts WHERE generation_id = {GENERATION}"
    counts = ask(f"SELECT count {counted} ORDER BY count DESC")
    ranks = page.sources["ranks"]
    assert ranks["count"] == [counts[rank - 1] for rank in ranks["rank"]]
    assert ranks["rank"][-1] == len(counts)
    bars = [row for row in page.words() if row[0] != "–"][:30]
    drawn = page.sources["tokens"]
    assert [drawn["label"], drawn["number"]] == [[visible(row[1]) for row in bars], [row[2] for row in bars]]
    by_month = f"FROM word_counts_by_month WHERE generation_id = {GENERATION}"
    months = sorted(ask(f"SELECT DISTINCT month {by_month}"))
    up_to = [
        ask(f"SELECT SUM(count) {by_month} AND month <= :one", one=month)
        + ask(
            f"SELECT COUNT(*) FROM (SELECT DISTINCT partition, position {by_month} AND month <= :one) AS seen",
            one=month,
        )
        for month in months
    ]
    growth = page.sources["growth"]
    assert [list(map(int, point)) for point in up_to] == [
        list(point) for point in zip(growth["tokens"], growth["words"], strict=True)
    ]
    lengths = page.sources["lengths"]
    for begin, end, documents in zip(lengths["from"], lengths["to"], lengths["documents"], strict=True):
        assert documents == sum(begin <= len(one) <= end for _, one, _ in written.records)
    periods = page.sources["periods"]
    dated = [month for _, _, month in written.records if month]
    assert dict(zip(periods["period"], periods["documents"], strict=True)) == {
        f"{month // 100}-{month % 100:02}": dated.count(month) for month in months if month
    }
    check_times(page, ask, [month for month in months if month])


def check_times(page: Page, ask: Ask, months: list[int]) -> None:
    """The words that can be chosen have their counts of every month, and those that are drawn their rates."""
    rows = ask(
        "SELECT word, month, m.count FROM word_counts_by_month AS m JOIN word_counts AS w "
        "ON w.generation_id = m.generation_id AND w.partition = m.partition AND w.position = m.position "
        f"WHERE m.generation_id = {GENERATION}"
    )
    found = {(word, month): count for word, month, count in rows}
    tokens = dict(ask(f"SELECT month, tokens FROM corpus_months WHERE generation_id = {GENERATION}"))
    assert page.times["tokens"] == [tokens[month] for month in months]
    for word, shown, counts in page.times["words"]:
        assert (shown, counts) == (visible(word), [found.get((word, month), 0) for month in months])
    assert page.times["changing"]
    for place, word in enumerate(page.times["changing"][:5]):
        line = page.sources[f"line-{place}"]
        assert line["count"] == [found.get((word, month), 0) for month in months]
        assert line["rate"] == pytest.approx([found.get((word, month), 0) / tokens[month] * 1e6 for month in months])


def check_labels(page: Page, ask: Ask) -> None:
    """Labels are counted by documents, and pairs of them too."""
    has = "FROM documents JOIN document_labels AS a USING (sha256) JOIN labels AS la ON la.id = a.label_id"
    counts = dict(ask(f"SELECT la.name, COUNT(*) {has} GROUP BY la.name"))
    assert counts.keys() == set(LABELS)
    drawn = page.sources["documents"]
    assert dict(zip(drawn["label"], drawn["number"], strict=True)) == {
        visible(name): found for name, found in counts.items()
    }
    both = "JOIN document_labels AS b ON b.sha256 = a.sha256 JOIN labels AS lb ON lb.id = b.label_id"
    pairs = {
        (one, other): found
        for one, other, found in ask(
            f"SELECT la.name, lb.name, COUNT(*) {has} {both} WHERE la.id <> lb.id GROUP BY la.name, lb.name"
        )
    }
    cells = [values for row in page.tables["pairs"][1:] for values, _ in row]
    shown = {(one["data-label"], one["data-other"]): int(one["data-value"]) for one in cells if "data-label" in one}
    own = {(name, name): found for name, found in counts.items()}
    assert {pair: found for pair, found in shown.items() if found} == pairs | own
    assert len(shown) == len(LABELS) ** 2


def check_summaries(page: Page, ask: Ask, written: Written) -> None:
    """Some summaries stand beside their texts, in which the words that they were taken from are marked."""
    texts = {key: one for key, one, _ in written.records}
    rows = ask("SELECT key, spans FROM documents JOIN summaries USING (sha256) ORDER BY sha256, key LIMIT 6")
    assert page.marked == [texts[key][begin:end] for key, spans in rows for begin, end in json.loads(spans)]
    assert page.samples == [visible(key) for key, _ in rows]


def check_letters(page: Page, ask: Ask, written: Written) -> None:
    """Dead letters stand with their reasons and places."""
    reasons = dict(ask("SELECT reason, COUNT(*) FROM dead_letters WHERE state = 'standing' GROUP BY reason"))
    shown = {row[1][0]["data-reason"]: int(row[1][0]["data-value"]) for row in page.tables["reason-table"][1:]}
    assert shown == reasons
    assert sum(shown.values()) == 2 * written.broken
    places = ask(
        'SELECT job_id, reason, source, "offset", line FROM dead_letters ORDER BY job_id, source, "offset", id'
    )
    assert [[cell for _, cell in row[:4]] for row in page.tables["letter-table"][1:]] == [
        [str(job), reason, f"{source}@{offset}", f"{line:,}"] for job, reason, source, offset, line in places
    ]


def check_runs(page: Page, ask: Ask) -> None:
    """Jobs have the figures of their shards, which are spread over time without losing any."""
    sums = "SUM(documents_in), SUM(dead), COUNT(*), SUM(failures), SUM(losses), SUM(tokens)"
    names = ("documents", "dead", "shards", "failures", "losses", "tokens")
    rows = page.tables["job-table"][1:]
    assert [int(row[0][1]) for row in rows] == ask("SELECT id FROM jobs ORDER BY id")
    for row in rows:
        job_id = int(row[0][1])
        fields = {values["data-field"]: float(values["data-value"]) for values, _ in row if "data-field" in values}
        (found,) = ask(
            f"SELECT {sums} FROM shards WHERE job_id = :one AND kind = 'map' AND state <> 'SPLIT'", one=job_id
        )
        assert {name: fields[name] for name in names} == dict(
            zip(names, (float(one or 0) for one in found), strict=True)
        )
        if not found[0]:
            continue
        rate = page.sources[f"throughput-{job_id}"]
        spread = sum(
            (end - begin) * one for begin, end, one in zip(rate["begin"], rate["end"], rate["rate"], strict=True)
        )
        assert spread == pytest.approx(float(found[0]))
        assert sum(page.sources[f"durations-{job_id}"]["shards"]) == found[2]
    attempts = {
        (int(values["data-job"]), values["data-outcome"]): int(values["data-value"])
        for row in page.tables["attempt-table"][1:]
        for values, _ in row
        if "data-job" in values
    }
    ended = ask("SELECT job_id, outcome, COUNT(*) FROM attempts GROUP BY job_id, outcome")
    assert {place: found for place, found in attempts.items() if found} == {
        (job, end): found for job, end, found in ended
    }


def test_what_is_not_there_is_left_out_with_the_command_that_makes_it(sqlite_mill: InlineMill, tmp_path: Path) -> None:
    sqlite_mill.run(
        [write_texts(tmp_path / "a.jsonl", ["春眠不觉晓", "处处闻啼鸟"])], "a b", "count", listing=ListingOptions()
    )
    page = make_page(tmp_path / "page.html", "a b")
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    for name in ("growth", "times", "labels", "summaries", "letters"):
        assert f'<section id="{name}">' not in html
    for command in ("--do count --date-field NAME", "--do summarize", "--do classify"):
        assert f"hanmill run INPUT --corpus &#39;a b&#39; {command}</code>" in html
    assert page.times is None
    assert page.plots == {"plot-words", "plot-ranks", "plot-lengths", "plot-throughput-1", "plot-durations-1"}
    chinese = make_page(tmp_path / "zh.html", "a b", "--language", "zh")
    assert chinese.figures == page.figures
    assert '<html lang="zh-Hans">' in (tmp_path / "zh.html").read_text(encoding="utf-8")


def test_a_long_time_is_shown_by_year(sqlite_mill: InlineMill, tmp_path: Path) -> None:
    poems = [("1990-03", "春眠不觉晓，春色满园。"), ("2024-05", "处处闻啼鸟，春天。"), ("2024-07-09", "春天来了。")]
    lines = [json.dumps({"text": poem, "date": date}, ensure_ascii=False) + "\n" for date, poem in poems]
    (tmp_path / "poems.jsonl").write_text("".join(lines), encoding="utf-8")
    sqlite_mill.run([tmp_path / "poems.jsonl"], "诗", "count", listing=ListingOptions(date_field="date"))
    page = make_page(tmp_path / "page.html", "诗")
    periods = page.sources["periods"]
    assert (periods["period"][0], periods["period"][-1], len(periods["period"])) == ("1990", "2024", 35)
    assert (periods["documents"][0], periods["documents"][-1], sum(periods["documents"])) == (1, 2, 3)
    counts = {word: found for word, _, found in page.times["words"]}
    assert (counts["春天"][0], counts["春天"][-1], sum(counts["春天"])) == (0, 2, 2)


def test_without_dates_the_vocabulary_grows_by_shards(sqlite_mill: InlineMill, tmp_path: Path) -> None:
    texts = ["春眠不觉晓", "处处闻啼鸟", "夜来风雨声", "花落知多少", "春眠不觉晓", "床前明月光", "疑是地上霜"]
    path = write_texts(tmp_path / "a.jsonl", texts)
    sqlite_mill.run([path], "诗", "count", shard_bytes=40)
    page = make_page(tmp_path / "page.html", "诗")
    growth = page.sources["growth"]
    with reading(sqlite_mill.parts.engine) as connection:
        shards = connection.scalars(text("SELECT tokens FROM shards WHERE kind = 'map' ORDER BY id")).all()
    assert growth["tokens"] == list(accumulate(shards))
    assert len(shards) > 3
    assert growth["words"] == sorted(growth["words"])
    assert growth["words"][-1] == number(page, "distinct")
    assert "up to each shard" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_counts_of_an_earlier_version_have_a_page_that_says_so(sqlite_mill: InlineMill, tmp_path: Path) -> None:
    path = write_texts(tmp_path / "a.jsonl", ["春眠不觉晓", "处处闻啼鸟"])
    sqlite_mill.run([path], "诗", "count")
    transact(sqlite_mill.parts.engine, lambda connection: connection.execute(text("DELETE FROM vocabulary_growth")))
    page = make_page(tmp_path / "page.html", "诗")
    assert page.figures["documents"] == {"2"}
    assert "plot-lengths" not in page.plots
    assert "these counts are of an earlier version; count again" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_fingerprint_picks_other_counts(sqlite_mill: InlineMill, tmp_path: Path) -> None:
    path = write_texts(tmp_path / "a.jsonl", ["中华人民共和国成立了"])
    for mode in ("full", "precise"):
        sqlite_mill.run([path], "国", "count", options={"mode": mode})
    with reading(sqlite_mill.parts.engine) as connection:
        full, precise = connection.scalars(text("SELECT fingerprint FROM jobs ORDER BY id")).all()
    newest = make_page(tmp_path / "page.html", "国")
    assert newest.words() == make_page(tmp_path / "page.html", "国", "--fingerprint", precise).words()
    assert {word for _, word, *_ in newest.words()} == {"中华人民共和国", "成立", "了"}
    picked = make_page(tmp_path / "page.html", "国", "--fingerprint", full[:8])
    assert {word for _, word, *_ in picked.words()} > {"中华", "人民", "共和国"}


def test_counts_without_any_word_have_a_page(sqlite_mill: InlineMill, tmp_path: Path) -> None:
    path = write_texts(tmp_path / "a.jsonl", ["春眠不觉晓"])
    sqlite_mill.run([path], "诗", "count", options={"pattern": "nothing"})
    page = make_page(tmp_path / "page.html", "诗")
    assert page.figures["tokens"] == page.figures["distinct"] == {"0"}
    assert (page.words(), page.plots & {"plot-words", "plot-ranks"}) == ([], set())


def test_a_corpus_of_summaries_alone_has_a_report(sqlite_mill: InlineMill, tmp_path: Path) -> None:
    poem = "春眠不觉晓，处处闻啼鸟。夜来风雨声，花落知多少。"
    path = write_texts(tmp_path / "a.jsonl", [poem])
    sqlite_mill.run([path], "a", "tokenize")
    summarize(sqlite_mill, "a", [poem])
    page = make_page(tmp_path / "page.html", "a")
    assert page.figures["documents"] == page.figures["summaries"] == {"1"}
    assert "tokens" not in page.figures
    path.write_text('{"text": "别的"}\n', encoding="utf-8")
    make_page(tmp_path / "page.html", "a")
    assert "has changed" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_wrong_requests_say_what_is_wrong(sqlite_mill: InlineMill, tmp_path: Path) -> None:
    path = write_texts(tmp_path / "a.jsonl", ["春眠不觉晓"])
    sqlite_mill.run([path], "a", "count")
    sqlite_mill.run([path], "cut", "tokenize")
    there = tmp_path / "there.html"
    there.mkdir()
    for arguments, sentence in (
        (["nobody", "--to", tmp_path / "x.html"], "there is no corpus 'nobody'; there are: a, cut"),
        (
            ["cut", "--to", tmp_path / "x.html"],
            "corpus cut has no word counts, summaries or labels yet; make them with",
        ),
        (
            ["a", "--to", tmp_path / "nowhere" / "x.html"],
            f"there is no directory {tmp_path / 'nowhere'}; make it first",
        ),
        (["a", "--to", tmp_path / "x.pdf"], "x.pdf: a page ends in .html"),
        (["a", "--to", there], "it is a directory; name a file in it"),
        (["a", "--to", "/proc/x.html"], "/proc/x.html cannot be written: "),
        (["a", "--to", f"{tmp_path}/{'x' * 300}.html"], "cannot be written: File name too long"),
        (["a", "--to", tmp_path / "x.html", "--fingerprint", "beef"], "of fingerprint beef"),
        (["a", "--to", tmp_path / "x.html", "--model", "best"], "of the model best"),
    ):
        made = report(*arguments)
        assert (made.exit_code, made.stdout) == (2, ""), made.output
        assert sentence in made.stderr
        assert made.stderr.count("\n") == 1
    assert sorted(one.name for one in tmp_path.iterdir() if one.suffix == ".html") == ["there.html"]
