"""`verify` computes shards again and finds whatever somebody altered in the database, on both of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, delete, func, insert, literal, select, update

from storage.engine import reading, transact
from storage.errors import UsageError
from storage.replay import replay
from storage.schema import (
    dead_letters,
    documents,
    jobs,
    label_scores,
    partial_counts,
    shards,
    summaries,
    tokens,
    word_counts,
)
from storage.sources import ListingOptions
from tasks.count.shard_counts import ShardCounts
from tests.support.availability import give_up
from tests.support.inline_mill import InlineMill
from tests.support.mill_results import open_mill, view_of
from workers.verification.documents import SCORE_TOLERANCE
from workers.verification.job import nothing_compared, verify_job
from workers.verification.report import Report

#: 24 documents: two of them the same text under one key, and one key with two texts.
TEXTS = [f"第{number}届博览会在上海开幕，来自各国的{number * 3}家企业参加了展览。" for number in range(21)]
RECORDS = [
    *({"id": f"n{number}", "text": text} for number, text in enumerate(TEXTS)),
    {"id": "n1", "text": TEXTS[1]},
    {"id": "n2", "text": "后来的文字取代了先前的文字。"},
    {"id": "n22", "text": "A股三大指数今日集体上涨，沪指涨1.2%。"},
]
#: In two shards or more, each with several documents.
SHARD_BYTES = 1200
Change = Callable[[Connection, int], None]


@pytest.fixture
def mill(home: Path, database_url: str) -> Iterator[InlineMill]:
    with open_mill(home, database_url) as made:
        yield made


@pytest.fixture
def sqlite_mill(home: Path, sqlite_url: str) -> Iterator[InlineMill]:
    """Return a mill on SQLite, for the many ways to alter a row; a few of them are tried on PostgreSQL too."""
    with open_mill(home, sqlite_url) as made:
        yield made


def write_records(path: Path) -> Path:
    """Write the records and, last of all, a line that is no document."""
    lines = [json.dumps(record, ensure_ascii=False) for record in RECORDS]
    path.write_text("\n".join([*lines, "{broken"]) + "\n", encoding="utf-8")
    return path


def milled(mill: InlineMill, tmp_path: Path, operation: str, **order: Any) -> int:
    """Return a job over the records that has been done."""
    source = write_records(tmp_path / "records.jsonl")
    listing = ListingOptions(key_field="id")
    (job_id,) = mill.run([source], "c", operation, listing=listing, shard_bytes=SHARD_BYTES, **order)
    return job_id


def verified(mill: InlineMill, job_id: int, number: int | None = None, seed: int = 1) -> Report:
    return verify_job(mill.parts, job_id, number, seed)


def kinds(report: Report) -> set[str]:
    return {difference.what for difference in report.differences}


@pytest.mark.parametrize("operation", ["count", "tokenize"])
def test_a_correct_job_has_no_differences(mill: InlineMill, tmp_path: Path, operation: str) -> None:
    job_id = milled(mill, tmp_path, operation)
    assert view_of(mill, job_id)["shards"] > 2
    report = verified(mill, job_id)
    assert (report.found, report.left_out, report.standing_dead) == (0, [], 1)
    assert report.compared["shards"] == report.shards == report.chosen
    assert report.compared["documents"] == len(RECORDS)
    assert report.compared["equation"] == 1


@pytest.mark.parametrize("operation", ["count", "tokenize"])
def test_a_job_with_replayed_letters_and_one_that_takes_over_from_it_are_correct(
    mill: InlineMill, tmp_path: Path, operation: str
) -> None:
    job_id = milled(mill, tmp_path, operation)
    assert replay(mill.parts.engine, job_id).letters == 1
    mill.work(job_id)
    assert verified(mill, job_id).differences == []
    write_records(tmp_path / "more.jsonl")
    listing = ListingOptions(key_field="id")
    (later,) = mill.run([tmp_path / "more.jsonl"], "c", operation, listing=listing, shard_bytes=SHARD_BYTES)
    assert view_of(mill, later)["reused"] > 0
    assert verified(mill, later).differences == []


def test_the_options_of_a_job_hold_for_the_reference_too(mill: InlineMill, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("博览会在 100000\n", encoding="utf-8")
    (tmp_path / "stop.txt").write_text("的\n", encoding="utf-8")
    options = {"user_dict": tmp_path / "words.txt", "stopwords": tmp_path / "stop.txt", "mode": "search", "hmm": False}
    job_id = milled(mill, tmp_path, "count", options=options)
    report = verified(mill, job_id)
    assert report.differences == []
    with reading(mill.parts.engine) as connection:
        words = set(connection.scalars(select(word_counts.c.word)))
    assert "博览会在" in words
    assert "的" not in words


def test_an_empty_corpus_leaves_nothing_to_compare(mill: InlineMill, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()
    (job_id,) = mill.run([tmp_path / "empty.txt"], "c", "count", listing=ListingOptions(lines=True))
    assert verified(mill, job_id).found == 0


# --- what is altered is found


def more_of_a_word(connection: Connection, job_id: int) -> None:
    word = word_counts.c.word == "上海"
    assert connection.execute(update(word_counts).where(word).values(count=word_counts.c.count + 1)).rowcount == 1


def fewer_documents_of_a_word(connection: Connection, job_id: int) -> None:
    word = word_counts.c.word == "上海"
    connection.execute(update(word_counts).where(word).values(documents=word_counts.c.documents - 1))


def a_word_less(connection: Connection, job_id: int) -> None:
    assert connection.execute(delete(word_counts).where(word_counts.c.word == "指数")).rowcount == 1


def a_row_twice(connection: Connection, job_id: int) -> None:
    copied = [word_counts.c[name] for name in ("generation_id", "partition", "word", "count", "documents")]
    one = select(*copied, literal(10_000)).where(word_counts.c.word == "上海")
    connection.execute(insert(word_counts).from_select([*(column.name for column in copied), "position"], one))


def a_partial_of_other_words(connection: Connection, job_id: int) -> None:
    counts = ShardCounts()
    counts.add(["上海", "博览会"])
    digest = select(func.min(partial_counts.c.digest)).scalar_subquery()
    of_one = partial_counts.c.digest == digest
    connection.execute(update(partial_counts).where(of_one).values(data=counts.partials(1)[0]))


def a_partial_cut_off(connection: Connection, job_id: int) -> None:
    digest = select(func.min(partial_counts.c.digest)).scalar_subquery()
    connection.execute(update(partial_counts).where(partial_counts.c.digest == digest).values(data=b"\x00\x01"))


def no_partial(connection: Connection, job_id: int) -> None:
    digest = select(func.min(partial_counts.c.digest)).scalar_subquery()
    connection.execute(delete(partial_counts).where(partial_counts.c.digest == digest))


def figures_of_a_partial(connection: Connection, job_id: int) -> None:
    connection.execute(update(partial_counts).values(tokens=partial_counts.c.tokens + 1))


def the_same_shard_twice(connection: Connection, job_id: int) -> None:
    names = [name for name in shards.c.keys() if name not in {"id", "parent_id", "half", "token"}]  # noqa: SIM118 - a collection of columns
    first = select(func.min(shards.c.id)).where(shards.c.job_id == job_id, shards.c.kind == "map").scalar_subquery()
    copied = select(*(shards.c[name] for name in names)).where(shards.c.id == first)
    connection.execute(insert(shards).from_select(names, copied))


def a_shard_less(connection: Connection, job_id: int) -> None:
    first = select(func.min(shards.c.id)).where(shards.c.job_id == job_id, shards.c.kind == "map").scalar_subquery()
    connection.execute(delete(shards).where(shards.c.id == first))


def figures_of_a_shard(connection: Connection, job_id: int) -> None:
    first = select(func.min(shards.c.id)).where(shards.c.job_id == job_id, shards.c.kind == "map").scalar_subquery()
    connection.execute(update(shards).where(shards.c.id == first).values(documents_in=shards.c.documents_in + 1))


def another_content(connection: Connection, job_id: int) -> None:
    rows = connection.execute(select(shards.c.id, shards.c.digest).where(shards.c.digest.is_not(None))).all()
    connection.execute(update(shards).where(shards.c.id == rows[0].id).values(digest=rows[1].digest))


def a_letter_less(connection: Connection, job_id: int) -> None:
    assert connection.execute(delete(dead_letters).where(dead_letters.c.job_id == job_id)).rowcount == 1


def another_reason(connection: Connection, job_id: int) -> None:
    connection.execute(update(dead_letters).values(reason="empty_text"))


def identical_counted_wrong(connection: Connection, job_id: int) -> None:
    connection.execute(update(jobs).where(jobs.c.id == job_id).values(identical=jobs.c.identical + 1))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (more_of_a_word, {"counts"}),
        (fewer_documents_of_a_word, {"document frequencies"}),
        (a_word_less, {"counts", "document frequencies"}),
        (a_row_twice, {"rows"}),
        (a_partial_of_other_words, {"counts", "document frequencies"}),
        (a_partial_cut_off, {"partial counts", "counts", "document frequencies"}),
        (no_partial, {"partial counts"}),
        (figures_of_a_partial, {"partial figures"}),
        (the_same_shard_twice, {"plan", "counts", "document frequencies"}),
        (a_shard_less, {"plan", "counts", "document frequencies"}),
        (figures_of_a_shard, {"figures", "equation"}),
        (a_letter_less, {"dead letters", "equation"}),
        (another_reason, {"dead letters"}),
        (another_content, {"content"}),
    ],
)
def test_what_is_altered_of_counts_is_found(
    sqlite_mill: InlineMill, tmp_path: Path, change: Change, what: set[str]
) -> None:
    job_id = milled(sqlite_mill, tmp_path, "count")
    transact(sqlite_mill.parts.engine, lambda connection: change(connection, job_id))
    report = verified(sqlite_mill, job_id)
    assert report.found > 0
    assert kinds(report) >= what


def test_much_that_is_altered_at_once_is_found_on_either_database(mill: InlineMill, tmp_path: Path) -> None:
    job_id = milled(mill, tmp_path, "count")
    for change in (more_of_a_word, a_row_twice, the_same_shard_twice, a_letter_less, no_partial):
        transact(mill.parts.engine, partial(change, job_id=job_id))
    expected = {"counts", "rows", "plan", "dead letters", "equation", "partial counts"}
    assert kinds(verified(mill, job_id)) >= expected


def other_tokens(connection: Connection, job_id: int) -> None:
    stored = tokens.c.tokens.contains("开幕")
    first = select(func.min(tokens.c.sha256)).where(stored).scalar_subquery()
    replaced = func.replace(tokens.c.tokens, "开幕", "闭幕")
    assert connection.execute(update(tokens).where(tokens.c.sha256 == first).values(tokens=replaced)).rowcount == 1


def no_tokens(connection: Connection, job_id: int) -> None:
    first = select(func.min(tokens.c.sha256)).scalar_subquery()
    assert connection.execute(delete(tokens).where(tokens.c.sha256 == first)).rowcount == 1


def another_number_of_tokens(connection: Connection, job_id: int) -> None:
    connection.execute(update(tokens).values(count=tokens.c.count + 1))


def no_document_row(connection: Connection, job_id: int) -> None:
    assert connection.execute(delete(documents).where(documents.c.key == "n5")).rowcount == 1


def another_text_of_a_document(connection: Connection, job_id: int) -> None:
    connection.execute(update(documents).where(documents.c.key == "n5").values(sha256=b"\x01" * 32))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (other_tokens, {"tokens"}),
        (no_tokens, {"results"}),
        (another_number_of_tokens, {"number of tokens"}),
        (no_document_row, {"document rows"}),
        (another_text_of_a_document, {"document rows"}),
        (the_same_shard_twice, {"plan"}),
        (a_shard_less, {"plan"}),
        (a_letter_less, {"dead letters", "equation"}),
        (identical_counted_wrong, {"identical and replaced"}),
    ],
)
def test_what_is_altered_of_tokens_is_found(
    sqlite_mill: InlineMill, tmp_path: Path, change: Change, what: set[str]
) -> None:
    job_id = milled(sqlite_mill, tmp_path, "tokenize")
    transact(sqlite_mill.parts.engine, lambda connection: change(connection, job_id))
    report = verified(sqlite_mill, job_id)
    assert report.found > 0
    assert kinds(report) >= what
    if change is other_tokens:
        (difference,) = report.differences
        assert (difference.stored, difference.recomputed, difference.word) == ("闭幕", "开幕", "开幕")
        assert difference.document.startswith("n")
        assert difference.shard is not None


# --- models


def without_models() -> None:
    try:
        import torch  # noqa: F401, PLC0415 - asked whether it is there
    except ModuleNotFoundError:
        give_up("PyTorch is not installed: pip install 'hanmill[models]'")


def test_summaries_are_made_again_one_by_one(mill: InlineMill, tmp_path: Path) -> None:
    without_models()
    job_id = milled(mill, tmp_path, "summarize", options={"length": "title"})
    assert verified(mill, job_id).differences == []

    def change(connection: Connection) -> None:
        first = select(func.min(summaries.c.sha256)).scalar_subquery()
        connection.execute(update(summaries).where(summaries.c.sha256 == first).values(summary="别的摘要"))

    transact(mill.parts.engine, change)
    report = verified(mill, job_id)
    assert kinds(report) == {"summaries"}
    assert {difference.stored for difference in report.differences} == {"别的摘要"}


def test_scores_are_compared_within_a_tolerance_and_labels_exactly(mill: InlineMill, tmp_path: Path) -> None:
    without_models()
    job_id = milled(mill, tmp_path, "classify")
    report = verified(mill, job_id)
    assert (report.differences, report.tolerance) == ([], SCORE_TOLERANCE)
    assert report.compared["scores"] > 0
    with reading(mill.parts.engine) as connection:
        row = connection.execute(select(label_scores).order_by(label_scores.c.sha256).limit(1)).one()
    shift_all(mill, row, SCORE_TOLERANCE / 10)
    assert verified(mill, job_id).differences == []
    shift_all(mill, row, SCORE_TOLERANCE * 30)
    assert "scores" in kinds(verified(mill, job_id))


def shift_all(mill: InlineMill, row: Any, by: float) -> None:
    """Add something to every score of a text."""
    from storage.label_scores import pack, unpack  # noqa: PLC0415 - beside its use

    packed = pack([score + by for score in unpack(bytes(row.scores))])
    of_text = label_scores.c.sha256 == row.sha256
    transact(
        mill.parts.engine,
        lambda connection: connection.execute(update(label_scores).where(of_text).values(scores=packed)),
    )


# --- samples, changed sources, other programs


def test_a_seed_draws_the_same_shards_again(mill: InlineMill, tmp_path: Path) -> None:
    job_id = milled(mill, tmp_path, "tokenize")
    transact(mill.parts.engine, lambda connection: another_number_of_tokens(connection, job_id))
    one, again = verified(mill, job_id, 1, seed=7), verified(mill, job_id, 1, seed=7)
    assert one.compared["shards"] == 1
    assert one.differences == again.differences
    drawn = {difference.shard for seed in range(6) for difference in verified(mill, job_id, 1, seed).differences}
    assert len(drawn) > 1


def test_the_sums_of_the_job_are_compared_whatever_the_sample(mill: InlineMill, tmp_path: Path) -> None:
    job_id = milled(mill, tmp_path, "count")
    transact(mill.parts.engine, lambda connection: more_of_a_word(connection, job_id))
    (difference,) = verified(mill, job_id, 1).differences
    assert (difference.what, difference.shard, difference.word) == ("counts", None, "上海")


@pytest.mark.parametrize("operation", ["count", "tokenize"])
def test_a_source_that_changed_since_is_said_and_is_no_difference(
    mill: InlineMill, tmp_path: Path, operation: str
) -> None:
    job_id = milled(mill, tmp_path, operation)
    (tmp_path / "records.jsonl").write_text('{"id": "n1", "text": "全新的文字"}\n', encoding="utf-8")
    report = verified(mill, job_id)
    assert report.found == 0
    assert len(report.left_out) == report.shards
    assert "has changed" in report.left_out[0]
    assert nothing_compared(report)


def test_a_source_that_a_later_job_read_anew_is_no_difference_of_the_earlier(mill: InlineMill, tmp_path: Path) -> None:
    job_id = milled(mill, tmp_path, "tokenize")
    source = tmp_path / "records.jsonl"
    source.write_text('{"id": "n1", "text": "全新的文字"}\n', encoding="utf-8")
    mill.run([source], "c", "tokenize", listing=ListingOptions(key_field="id"), shard_bytes=SHARD_BYTES)
    report = verified(mill, job_id)
    assert report.found == 0
    assert "no longer in the corpus as it was planned" in report.left_out[0]


def test_a_job_of_another_dictionary_is_refused(mill: InlineMill, tmp_path: Path) -> None:
    job_id = milled(mill, tmp_path, "count")
    transact(mill.parts.engine, lambda connection: connection.execute(update(jobs).values(fingerprint="0" * 32)))
    with pytest.raises(UsageError, match="another version"):
        verified(mill, job_id)


def test_a_job_that_is_not_done_yet_is_compared_as_far_as_it_is(mill: InlineMill, tmp_path: Path) -> None:
    source = write_records(tmp_path / "records.jsonl")
    listing = ListingOptions(key_field="id")
    job = mill.submit([source], "c", "tokenize", listing=listing, shard_bytes=SHARD_BYTES).jobs[0]
    from workers.run_shard import run_shard  # noqa: PLC0415 - beside its use

    run_shard(mill.parts, mill.messages[0][0], "inline@test/1/1")
    report = verified(mill, job.id)
    assert (report.found, report.compared["shards"]) == (0, 1)
    assert "its sums are compared when it is done" in report.left_out[0]
