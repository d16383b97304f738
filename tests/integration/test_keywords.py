"""Keywords of a corpus on both databases: weighed by its own counts, which stay as they were taken until asked for."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, delete, func, select, update

from storage import keywords as keyword_rows
from storage import schedule_runs, schedules
from storage.engine import reading, transact
from storage.errors import UsageError
from storage.jobs import get, parameters
from storage.schema import attempts, keywords, resources
from storage.sources import ListingOptions
from tests.support.inline_mill import InlineMill
from tests.support.jieba_analyse import jieba_extractor
from tests.support.mill_results import open_mill, view_of, write_texts
from tests.support.reference import serial_counts
from workers.cli.session import in_turn
from workers.producer import ingest
from workers.schedule_fire import tend_schedules
from workers.schedule_order import Timing, add_schedule
from workers.schedule_start import start_run
from workers.submit import Order
from workers.verification.job import verify_job
from workers.verification.report import Report

#: Words that every text has, words that some have, and words of one text alone.
TEXTS = [
    f"第{number}届博览会在{city}开幕，来自各国的企业参加了{thing}展览，{thing}受到欢迎。"
    for number, (city, thing) in enumerate(
        [("上海", "机器人"), ("北京", "机器人"), ("广州", "区块链"), ("深圳", "无人机"), ("成都", "丝绸")]
    )
]
#: One shard a document, so that what is known is seen in shards.
SHARD_BYTES = 150
Keywords = list[tuple[str, float]]


@pytest.fixture
def mill(home: Path, database_url: str) -> Iterator[InlineMill]:
    with open_mill(home, database_url) as made:
        yield made


@pytest.fixture
def sqlite_mill(home: Path, sqlite_url: str) -> Iterator[InlineMill]:
    """Return a mill on SQLite, for what the database has no say in."""
    with open_mill(home, sqlite_url) as made:
        yield made


def milled(mill: InlineMill, tmp_path: Path, texts: list[str], *operations: str, **options: Any) -> list[int]:
    """Put texts into the corpus, each a file, and return the jobs over it, which are done."""
    written = write_files(tmp_path / "texts", texts)
    return mill.run([written], "c", *operations, options=options, shard_bytes=SHARD_BYTES)


def write_files(directory: Path, texts: list[str]) -> Path:
    directory.mkdir(exist_ok=True)
    for number, text in enumerate(texts):
        path = directory / f"{number}.txt"
        # A file that is written again has changed.
        if not path.exists():
            path.write_text(text, encoding="utf-8")
    return directory


def parameters_of(mill: InlineMill, job_id: int) -> dict[str, Any]:
    with reading(mill.parts.engine) as connection:
        return parameters(get(connection, job_id))


def found_by(mill: InlineMill, job_id: int) -> list[Keywords]:
    """Return the keywords that an export of a job would write, in order of the texts."""
    with reading(mill.parts.engine) as connection:
        job = get(connection, job_id)
        rows = keyword_rows.export_rows(connection, job.corpus_id, job.fingerprint)
        return [[(one["word"], one["weight"]) for one in row["keywords"]] for row in rows]


def by_counts_of(counted: list[str], texts: list[str], top: int = 20) -> list[Keywords]:
    """Return what jieba finds in texts with the idf of a plain loop over others."""
    extractor = jieba_extractor("tfidf")
    extractor.median_idf = math.log(len(counted) + 1)
    extractor.idf_freq = {
        word: math.log((len(counted) + 1) / documents) for word, (_, documents) in serial_counts(counted).items()
    }
    return [extractor.extract_tags(text, topK=top, withWeight=True) for text in texts]


def computed(mill: InlineMill) -> int:
    with reading(mill.parts.engine) as connection:
        return connection.scalar(select(func.count()).select_from(attempts)) or 0


def test_keywords_are_weighed_by_the_counts_of_their_corpus(mill: InlineMill, tmp_path: Path) -> None:
    milled(mill, tmp_path, TEXTS, "count")
    (job_id,) = milled(mill, tmp_path, TEXTS, "keywords")
    assert found_by(mill, job_id) == by_counts_of(TEXTS, TEXTS)
    found = parameters_of(mill, job_id)
    assert (found["idf"], found["idf_documents"]) == ("corpus", len(TEXTS))
    with reading(mill.parts.engine) as connection:
        assert connection.scalar(select(func.count()).where(resources.c.digest == found["idf_table"])) == 1
    assert view_of(mill, job_id)["results"] == len(TEXTS)


def test_what_they_are_weighed_by_stays_until_it_is_asked_for_anew(mill: InlineMill, tmp_path: Path) -> None:
    milled(mill, tmp_path, TEXTS[:4], "count")
    (first,) = milled(mill, tmp_path, TEXTS[:4], "keywords")
    milled(mill, tmp_path, TEXTS, "count")
    before = computed(mill)
    (second,) = milled(mill, tmp_path, TEXTS, "keywords")
    # The new document alone, by what the others were weighed by.
    assert computed(mill) == before + 1
    assert found_by(mill, second) == by_counts_of(TEXTS[:4], TEXTS)
    assert parameters_of(mill, second) == parameters_of(mill, first)
    (refreshed,) = milled(mill, tmp_path, TEXTS, "keywords", refresh_idf=True)
    assert view_of(mill, refreshed)["reused"] == 0
    assert found_by(mill, refreshed) == by_counts_of(TEXTS, TEXTS)
    # From then on that is what holds.
    before = computed(mill)
    (last,) = milled(mill, tmp_path, TEXTS, "keywords")
    assert (parameters_of(mill, last), computed(mill)) == (parameters_of(mill, refreshed), before)


def test_a_corpus_without_counts_takes_the_file_that_comes_with_jieba(mill: InlineMill, tmp_path: Path) -> None:
    (job_id,) = milled(mill, tmp_path, TEXTS, "keywords", top_keywords=3)
    assert parameters_of(mill, job_id)["idf"] == "jieba"
    jieba = jieba_extractor("tfidf")
    assert found_by(mill, job_id) == [jieba.extract_tags(text, topK=3, withWeight=True) for text in TEXTS]


def test_counts_that_were_cut_or_filtered_otherwise_do_not_fit(sqlite_mill: InlineMill, tmp_path: Path) -> None:
    milled(sqlite_mill, tmp_path, TEXTS, "count", pattern="[a-z]+")
    milled(sqlite_mill, tmp_path, TEXTS, "count", hmm=False)
    milled(sqlite_mill, tmp_path, TEXTS, "count", min_length=3)
    with pytest.raises(UsageError, match="corpus c has no counts that fit"):
        milled(sqlite_mill, tmp_path, TEXTS, "keywords", idf="corpus")
    (job_id,) = milled(sqlite_mill, tmp_path, TEXTS, "keywords")
    assert parameters_of(sqlite_mill, job_id)["idf"] == "jieba"
    # What is left out of both, or is no keyword anyway, may be left out of the counts.
    milled(sqlite_mill, tmp_path, TEXTS, "count", min_length=2)
    (job_id,) = milled(sqlite_mill, tmp_path, TEXTS, "keywords", idf="corpus")
    assert found_by(sqlite_mill, job_id) == by_counts_of(TEXTS, TEXTS)


def test_a_file_may_say_how_much_words_tell(sqlite_mill: InlineMill, tmp_path: Path) -> None:
    (tmp_path / "idf.txt").write_text("机器人 9.5\n博览会 0.5\n开幕 2\n", encoding="utf-8")
    (job_id,) = milled(sqlite_mill, tmp_path, TEXTS, "keywords", idf=str(tmp_path / "idf.txt"))
    jieba = jieba_extractor("tfidf", idf=tmp_path / "idf.txt")
    assert found_by(sqlite_mill, job_id) == [jieba.extract_tags(text, withWeight=True) for text in TEXTS]
    assert parameters_of(sqlite_mill, job_id)["idf"] == "file"


def test_textrank_needs_no_counts(sqlite_mill: InlineMill, tmp_path: Path) -> None:
    milled(sqlite_mill, tmp_path, TEXTS, "count")
    (job_id,) = milled(sqlite_mill, tmp_path, TEXTS, "keywords", method="textrank")
    jieba = jieba_extractor("textrank")
    assert found_by(sqlite_mill, job_id) == [jieba.textrank(text, withWeight=True) for text in TEXTS]
    assert "idf" not in parameters_of(sqlite_mill, job_id)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"method": "rake"}, "--method is one of tfidf, textrank, not 'rake'"),
        ({"top_keywords": 0}, "at least 1, not 0"),
        ({"idf": "nowhere.txt"}, "--idf nowhere.txt: cannot be read: .*corpus, jieba, or a file"),
        ({"idf": "corpus"}, "corpus c has no counts that fit: count it first"),
        ({"refresh_idf": True}, "corpus c has no counts that fit"),
        ({"idf": "jieba", "refresh_idf": True}, "leave it out, or --idf"),
        ({"method": "textrank", "idf": "jieba"}, "weighs by the text alone: leave out --idf"),
        ({"method": "textrank", "mode": "search"}, "leave out --mode search"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_remedy(
    sqlite_mill: InlineMill, tmp_path: Path, options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(UsageError, match=reason):
        milled(sqlite_mill, tmp_path, TEXTS, "keywords", **options)


def test_enqueued_documents_have_keywords_and_a_text_that_is_known_costs_nothing(mill: InlineMill) -> None:
    given = [{"key": str(number), "text": text} for number, text in enumerate([*TEXTS, "", TEXTS[0]])]
    ingest(mill.parts, mill, "feed", given, ["keywords"], {"top_keywords": 2, "idf": "jieba"})
    mill.work()
    with reading(mill.parts.engine) as connection:
        rows = {row.sha256: json.loads(row.keywords) for row in connection.execute(select(keywords))}
    # Two documents of one text have one row, an empty one has a row without keywords.
    assert len(rows) == len(TEXTS) + 1
    assert sorted(map(len, rows.values())) == [0, 2, 2, 2, 2, 2]
    with pytest.raises(UsageError, match="takes no files and no addresses: leave out idf"):
        ingest(mill.parts, mill, "feed", given, ["keywords"], {"idf": "/etc/passwd"})


# --- verification


def verified(mill: InlineMill, job_id: int) -> Report:
    return verify_job(mill.parts, job_id, None, 1)


def test_correct_keywords_have_no_differences(mill: InlineMill, tmp_path: Path) -> None:
    (tmp_path / "stop.txt").write_text("企业\n", encoding="utf-8")
    options = {"stopwords": tmp_path / "stop.txt", "min_length": 2, "top_keywords": 4}
    milled(mill, tmp_path, TEXTS, "count", **options)
    for more in ({"idf": "corpus"}, {"idf": "jieba"}, {"method": "textrank"}):
        (job_id,) = milled(mill, tmp_path, TEXTS, "keywords", **options, **more)
        report = verified(mill, job_id)
        assert (report.differences, report.left_out) == ([], [])
        assert report.compared["documents"] == len(TEXTS)
        assert report.compared["keywords"] > len(TEXTS)


def another_word(connection: Connection) -> None:
    one = select(func.min(keywords.c.sha256)).where(keywords.c.keywords.contains("机器人")).scalar_subquery()
    replaced = func.replace(keywords.c.keywords, "机器人", "机械人")
    connection.execute(update(keywords).where(keywords.c.sha256 == one).values(keywords=replaced))


def another_weight(connection: Connection) -> None:
    row = connection.execute(select(keywords).limit(1)).one()
    found = json.loads(row.keywords)
    found[1]["weight"] *= 1 + 1e-9
    changed = update(keywords).where(keywords.c.sha256 == row.sha256).values(keywords=json.dumps(found))
    connection.execute(changed)


def a_keyword_less(connection: Connection) -> None:
    row = connection.execute(select(keywords).limit(1)).one()
    changed = update(keywords).where(keywords.c.sha256 == row.sha256)
    connection.execute(changed.values(keywords=json.dumps(json.loads(row.keywords)[:-1])))


@pytest.mark.parametrize("change", [another_word, another_weight, a_keyword_less])
def test_what_is_altered_of_keywords_is_found(
    sqlite_mill: InlineMill, tmp_path: Path, change: Callable[[Connection], None]
) -> None:
    (job_id,) = milled(sqlite_mill, tmp_path, TEXTS, "keywords", idf="jieba")
    transact(sqlite_mill.parts.engine, change)
    report = verified(sqlite_mill, job_id)
    assert [difference.what for difference in report.differences] == ["keywords"]


def test_keywords_that_are_gone_are_missed(mill: InlineMill, tmp_path: Path) -> None:
    (job_id,) = milled(mill, tmp_path, TEXTS, "keywords", idf="jieba")
    one = select(func.min(keywords.c.sha256)).scalar_subquery()
    transact(mill.parts.engine, lambda connection: connection.execute(delete(keywords).where(keywords.c.sha256 == one)))
    assert {difference.what for difference in verified(mill, job_id).differences} == {"results", "equation"}


# --- orders and schedules


def order_of(*operations: str, **options: Any) -> Order:
    return Order("c", ["texts.jsonl"], operations, options, ListingOptions())


def test_keywords_come_after_the_counts_they_would_be_weighed_by(sqlite_mill: InlineMill, tmp_path: Path) -> None:
    engine = sqlite_mill.parts.engine
    first, then = in_turn(engine, order_of("keywords", "tokenize", "count"))
    assert (first.operations, then and then.operations) == (["tokenize", "count"], ["keywords"])
    options = in_turn(engine, order_of("count", "keywords", "summarize", models=["m"], hmm=False))[1]
    # An option of another operation would be refused.
    assert options is not None
    assert options.options == {"hmm": False}
    for order in (
        order_of("keywords"),
        order_of("count", "tokenize"),
        order_of("count", "keywords", idf="jieba"),
        order_of("count", "keywords", method="textrank"),
    ):
        assert in_turn(engine, order) == (order, None)
    milled(sqlite_mill, tmp_path, TEXTS, "count")
    milled(sqlite_mill, tmp_path, TEXTS, "keywords")
    # They have been taken, and stay.
    assert in_turn(engine, order_of("count", "keywords"))[1] is None
    assert in_turn(engine, order_of("count", "keywords", refresh_idf=True))[1] is not None
    with pytest.raises(UsageError, match="--method"):
        in_turn(engine, order_of("count", "keywords", method="rake"))


def test_a_night_finds_the_keywords_of_what_is_new(
    sqlite_mill: InlineMill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "idf.txt").write_text("机器人 9.5\n博览会 0.5\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    inbox = write_files(tmp_path / "texts", TEXTS[:4])
    options = {"idf": "idf.txt"}
    order = Order("c", [str(inbox)], ["keywords"], options, ListingOptions(), shard_bytes=SHARD_BYTES)
    add_schedule(sqlite_mill.parts, order, Timing("nightly", "30 1 * * *", "Asia/Shanghai"))
    # Whoever starts the night stands in another directory.
    monkeypatch.chdir("/")
    made = [night(sqlite_mill)]
    before = computed(sqlite_mill)
    write_files(inbox, TEXTS)
    made.append(night(sqlite_mill))
    assert computed(sqlite_mill) == before + 1
    assert [len(found_by(sqlite_mill, job_id)) for job_id in made] == [5, 5]


def night(mill: InlineMill) -> int:
    with reading(mill.parts.engine) as connection:
        schedule = schedules.get(connection, "nightly")
    run_id = transact(mill.parts.engine, partial(schedule_runs.fire_now, schedule=schedule))
    (job_id,) = start_run(mill.parts, mill, run_id)
    mill.work(job_id)
    tend_schedules(mill.parts.engine, mill)
    return job_id


@pytest.mark.slow
def test_one_run_counts_and_then_finds_keywords_by_the_counts(home: Path, tmp_path: Path) -> None:
    path = write_texts(tmp_path / "texts.jsonl", TEXTS)

    def hanmill(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "workers.cli.main", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)

    run = ("run", str(path), "--corpus", "c", "--do", "count,keywords", "--top-keywords", "2", "--workers", "1")
    told = hanmill(*run).stderr
    assert "keywords of c: tfidf, idf of 5 documents of the corpus" in told
    document = json.loads(hanmill("show", "c", f"{path}@0", "--format", "json").stdout)
    (expected,) = by_counts_of(TEXTS, TEXTS[:1], 2)
    assert [(one["word"], one["weight"]) for one in document["keywords"]] == expected
    again = hanmill(*run).stderr
    assert "count: nothing to compute" in again
    assert "keywords: nothing to compute" in again
