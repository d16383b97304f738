"""The views show what the commands show, stay through migrations, and never lose a column."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Integer, create_engine, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from storage import corpus_figures, duplicates, keywords, label_scores, new_words, summaries, tokens, views
from storage.asking import ConnectionAsker
from storage.corpora import corpus_id_of, list_corpora
from storage.document_results import complete_fingerprints
from storage.documents import NewDocument, enqueue, text_sha256
from storage.engine import reading, transact
from storage.job_views import letters, list_ids
from storage.job_views import views as job_views
from storage.label_scores import ScoredDocument, pack
from storage.label_sets import Label, label_ids, register
from storage.migrate import downgrade, upgrade
from storage.sources import ListingOptions
from storage.view_statements import VIEWS, View
from storage.word_counts import by_count, current_generation
from tests.support.builders import call, change_job, make_job
from tests.support.documented_commands import blocks_of
from tests.support.inline_mill import InlineMill
from tests.support.mill_results import open_mill

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

#: Two records of one key and text, two of one key and different texts, and one that is none.
POEMS = [
    {"id": "静夜思", "text": "床前明月光，疑是地上霜。举头望明月，低头思故乡。"},
    {"id": "静夜思", "text": "床前明月光，疑是地上霜。举头望明月，低头思故乡。"},
    {"id": "春晓", "text": "春眠不觉晓，处处闻啼鸟。夜来风雨声，花落知多少。"},
    {"id": "春晓", "text": "中国的春天来了，中国很美。"},
    {"id": "无题"},
]
#: Two months and a document without a date; one text twice, another nearly twice; a name that no dictionary has.
NEWS = [
    {"date": "2024-07-01", "text": "丁薛祥今天在北京出席了会议，并且发表了重要的讲话。"},
    {"date": "2024-07-02", "text": "丁薛祥今天在北京出席了会议，并且发表了重要的讲话。"},
    {"date": "2024-08-03", "text": "丁薛祥今天在北京出席了会议，并且发表了重要的讲话！"},
    {"text": "上海明天有雨，丁薛祥不在。"},
]
#: What was promised when a view was made. Columns may be added at the end; whoever takes one away breaks a query.
PROMISED = {
    "v_corpora": "corpus sources bytes jobs created_at",
    "v_documents": "corpus key source byte_offset length sha256 metadata created_at",
    "v_top_words": "corpus word count documents fingerprint",
    "v_corpus_months": "corpus month documents tokens characters",
    "v_words_by_month": "corpus word month count documents",
    "v_document_lengths": "corpus month from_chars to_chars documents",
    "v_new_words": "corpus place word count pmi left_entropy right_entropy score fingerprint",
    "v_duplicates": "corpus group_number kind documents number text_number similarity key source byte_offset "
    "fingerprint",
    "v_keywords": "corpus key place word weight fingerprint sha256",
    "v_tokens": "corpus key count tokens fingerprint sha256",
    "v_summaries": "corpus key summary spans model fingerprint sha256",
    "v_labels": "corpus key label score model fingerprint sha256",
    "v_document_results": "corpus key operation fingerprint result sha256",
    "v_jobs": "id corpus operation state reason fingerprint priority created_at finished_at elapsed_s documents "
    "results identical replaced dead shards shards_done shards_running bytes bytes_done tokens reused failures losses",
    "v_dead_letters": "job corpus operation source line byte_offset length key reason detail attempts created_at",
}
LABELLED = "a" * 32
LABELS = [Label("诗"), Label("文"), Label("史")]

Row = dict[str, Any]


@pytest.fixture
def mill(home: Path, database_url: str, tmp_path: Path) -> Iterator[InlineMill]:
    """Return a mill with two corpora, results of several fingerprints, dead letters, labels, a changed source."""
    with open_mill(home, database_url, max_failures=1) as made:
        path = tmp_path / "poems.jsonl"
        by_id = ListingOptions(key_field="id")
        for poems, mode, backend in ((POEMS[:3], "full", "lead"), (POEMS, "precise", "textrank")):
            path.write_text("".join(json.dumps(poem, ensure_ascii=False) + "\n" for poem in poems), encoding="utf-8")
            options = {"mode": mode, "backend": backend}
            made.run([path], "poems", "count", "tokenize", "summarize", listing=by_id, options=options)
        other = tmp_path / "other.txt"
        other.write_text("明月几时有\n床前明月光", encoding="utf-8")
        made.run([other], "other", "count", "tokenize", listing=ListingOptions(lines=True))
        made.run([path], "poems", "keywords", listing=by_id)
        news = tmp_path / "news.jsonl"
        news.write_text("".join(json.dumps(item, ensure_ascii=False) + "\n" for item in NEWS), encoding="utf-8")
        loosely = {"min_count": 2, "min_pmi": 0.0, "min_entropy": 0.0}
        dated = ListingOptions(date_field="date")
        made.run([news], "news", "dedup", "discover", "count", listing=dated, options=loosely)
        given = NewDocument("如梦令", "昨夜雨疏风骤", {"page": 3})
        call(made.parts.engine, enqueue, call(made.parts.engine, corpus_id_of, "other"), [given], 1000)
        make_job(made.parts.engine, corpus="empty", operation="tokenize")
        _label(made.parts.engine)
        yield made


def _label(engine: Engine) -> None:
    """Write the results of a finished job of labels: one document has two, one none, one was not scored."""
    change_job(engine, make_job(engine, corpus="poems", operation="classify", fingerprint=LABELLED), state="DONE")
    label_set_id = call(engine, register, "诗文", "1", LABELS)
    ids = call(engine, label_ids, label_set_id)
    rows = {
        text_sha256(POEMS[0]["text"]): ScoredDocument(pack([1, 2, -3]), [(ids[0], 0.88), (ids[1], 0.98)]),
        text_sha256(POEMS[2]["text"]): ScoredDocument(pack([1, -2, -3]), [(ids[0], 0.88)]),
        text_sha256(POEMS[3]["text"]): ScoredDocument(pack([-1, -2, -3]), []),
    }
    call(engine, label_scores.save, LABELLED, "c" * 64, label_set_id, rows, scale=2.0)


def rows_of(connection: Connection, view: str, order: str, corpus: str | None = None) -> list[Row]:
    """Return the rows of a view as a user asks for them; SQLite gives JSON as text, PostgreSQL as lists."""
    where = "" if corpus is None else "WHERE corpus = :corpus"
    found = connection.execute(text(f"SELECT * FROM {view} {where} ORDER BY {order}"), {"corpus": corpus}).mappings()
    return [{name: _loaded(name, value) for name, value in row.items()} for row in found]


def _loaded(name: str, value: Any) -> Any:
    is_json = name in {"tokens", "spans", "result", "metadata"} and isinstance(value, str)
    return json.loads(value) if is_json else value


def picked(rows: Sequence[Row], *names: str) -> list[Row]:
    return [{name: row[name] for name in names} for row in rows]


def newest(connection: Connection, operation: str) -> tuple[int, str]:
    """Return a corpus's id and the fingerprint that commands show, by the function that they ask."""
    corpus_id = corpus_id_of(connection, "poems")
    return corpus_id, next(iter(complete_fingerprints(connection, corpus_id, operation)))


def check_top_words(connection: Connection) -> None:
    """Top words are the counts that readers see."""
    for corpus in ("poems", "other"):
        generation = current_generation(connection, corpus_id_of(connection, corpus))
        assert generation is not None
        found = rows_of(connection, "v_top_words", "count DESC, word", corpus)
        assert [(row["word"], row["count"], row["documents"]) for row in found] == [
            tuple(row) for row in by_count(connection, generation)
        ]
        assert found
    assert rows_of(connection, "v_top_words", "word", "empty") == []


def check_tokens_and_summaries(connection: Connection) -> None:
    """Tokens and summaries are those of the newest finished job."""
    for view, operation, export, names in (
        ("v_tokens", "tokenize", tokens.export_rows, ("key", "tokens")),
        ("v_summaries", "summarize", summaries.export_rows, ("key", "summary", "model", "spans")),
    ):
        corpus_id, fingerprint = newest(connection, operation)
        found = rows_of(connection, view, "key", "poems")
        assert picked(found, *names) == list(export(connection, corpus_id, fingerprint))
        assert {row["fingerprint"] for row in found} == {fingerprint}
        assert [row["key"] for row in found] == ["春晓", "静夜思"]
    assert len(rows_of(connection, "v_tokens", "key", "other")) == 2
    cut = rows_of(connection, "v_tokens", "key")
    assert all(row["count"] == len(row["tokens"]) for row in cut)


def check_labels_and_document_results(connection: Connection) -> None:
    """Labels, and all results of documents, are what an export writes."""
    corpus_id, fingerprint = newest(connection, "classify")
    decided = list(label_scores.decided_rows(connection, corpus_id, fingerprint))
    found = rows_of(connection, "v_labels", "key, score DESC", "poems")
    assert picked(found, "key", "label", "score") == [
        {"key": row["key"], **label} for row in decided for label in row["labels"]
    ]
    exports: dict[str, Callable[..., Iterator[Row]]] = {
        "classify": label_scores.decided_rows,
        "keywords": keywords.export_rows,
        "summarize": summaries.export_rows,
        "tokenize": tokens.export_rows,
    }
    expected = [
        {"operation": operation, "key": row.pop("key"), "result": row}
        for operation, export in exports.items()
        for row in export(connection, *newest(connection, operation))
    ]
    results = rows_of(connection, "v_document_results", "operation, key", "poems")
    assert picked(results, "operation", "key", "result") == expected
    assert len(results) == 8


def check_keywords(connection: Connection) -> None:
    """Keywords are those of an export, one a row."""
    exported = keywords.export_rows(connection, *newest(connection, "keywords"))
    expected = [
        (row["key"], place, one["word"], one["weight"])
        for row in exported
        for place, one in enumerate(row["keywords"], start=1)
    ]
    found = rows_of(connection, "v_keywords", "key, place", "poems")
    assert [(row["key"], row["place"], row["word"]) for row in found] == [row[:3] for row in expected]
    assert [row["weight"] for row in found] == pytest.approx([row[3] for row in expected])
    assert found


def check_new_words_and_duplicates(connection: Connection) -> None:
    """New words and groups of documents are those of an export."""
    corpus_id = corpus_id_of(connection, "news")
    discovered = current_generation(connection, corpus_id, operation="discover")
    grouped = duplicates.current_groups(connection, corpus_id)
    assert discovered is not None
    assert grouped is not None
    found = rows_of(connection, "v_new_words", "place", "news")
    proposed = list(new_words.by_score(connection, discovered))
    assert [tuple(row[name] for name in new_words.FIELDS) for row in found] == proposed
    assert [row["place"] for row in found] == list(range(1, len(found) + 1))
    assert "丁薛祥" in {row["word"] for row in found}
    renamed = {"group": "group_number", "text": "text_number", "offset": "byte_offset"}
    expected = [
        {renamed.get(name, name): value for name, value in row.items()}
        for row in duplicates.export_rows(connection, grouped)
    ]
    members = rows_of(connection, "v_duplicates", "group_number, number", "news")
    assert picked(members, *expected[0]) == expected
    assert len(members) == 3


def check_months_and_lengths(connection: Connection) -> None:
    """Months, words by month and lengths are those of the counts that readers see."""
    generation = current_generation(connection, corpus_id_of(connection, "news"))
    assert generation is not None
    of_months = {row["month"]: row for row in rows_of(connection, "v_corpus_months", "month", "news")}
    assert {month: row["documents"] for month, row in of_months.items()} == {None: 1, "2024-07": 2, "2024-08": 1}
    for month in corpus_figures.by_month(connection, generation):
        name = f"{month.month // 100}-{month.month % 100:02}" if month.month else None
        assert tuple(of_months[name][field] for field in ("documents", "tokens", "characters")) == month[1:]
    words = [row for row in rows_of(connection, "v_words_by_month", "month", "news") if row["word"] == "北京"]
    assert {row["month"]: (row["count"], row["documents"]) for row in words} == {"2024-07": (2, 2), "2024-08": (1, 1)}
    lengths: Counter[tuple[int, int]] = Counter()
    for row in rows_of(connection, "v_document_lengths", "from_chars", "news"):
        lengths[row["from_chars"], row["to_chars"]] += row["documents"]
    bins = corpus_figures.length_histogram(connection, generation)
    assert lengths == {(one.from_chars, one.to_chars): one.documents for one in bins}


def check_documents(connection: Connection) -> None:
    """Documents are the last records of their keys."""
    spring, night = rows_of(connection, "v_documents", "key", "poems")
    (given,) = [row for row in rows_of(connection, "v_documents", "key", "other") if row["key"] == "如梦令"]
    assert (given["source"], given["byte_offset"], given["metadata"]) == (None, 0, {"page": 3})
    assert connection.scalar(text("SELECT count(*) FROM documents WHERE source_version = 1"))
    assert spring["key"] == "春晓"
    assert spring["sha256"] == text_sha256(POEMS[3]["text"]).hex()
    assert str(spring["source"]).endswith("poems.jsonl")
    assert (night["key"], night["metadata"]) == ("静夜思", None)
    lengths = [len(json.dumps(poem, ensure_ascii=False).encode()) + 1 for poem in POEMS]
    assert (spring["byte_offset"], night["byte_offset"]) == (sum(lengths[:3]), lengths[0])


def check_jobs_dead_letters_and_corpora(connection: Connection) -> None:
    """Jobs, dead letters and corpora are as the commands list them."""
    asker = ConnectionAsker(connection)
    shown = job_views(asker, list_ids(asker))
    found = rows_of(connection, "v_jobs", "id DESC")
    same = sorted(found[0].keys() & shown[0].keys() - {"created_at", "finished_at", "elapsed_s"})
    assert len(same) == 21
    assert picked(found, *same) == picked(shown, *same)
    ended = {row["id"]: row["elapsed_s"] for row in found if row["finished_at"]}
    assert ended == pytest.approx({row["id"]: row["elapsed_s"] for row in shown if row["id"] in ended}, abs=0.001)

    standing = letters(asker, None)
    dead = rows_of(connection, "v_dead_letters", "job, source, byte_offset")
    named = {"job": "job_id", "byte_offset": "offset", **{name: name for name in ("source", "line", "key", "reason")}}
    assert picked(dead, *named) == [{name: letter[old] for name, old in named.items()} for letter in standing]
    assert dead
    assert picked(rows_of(connection, "v_corpora", "corpus"), "corpus", "sources", "bytes", "jobs") == [
        {"corpus": row["name"], "sources": row["sources"], "bytes": row["bytes"], "jobs": row["jobs"]}
        for row in list_corpora(connection)
    ]
    # A time that both databases can compute with.
    since = connection.scalar(text("SELECT created_at FROM v_jobs ORDER BY id LIMIT 1"))
    assert str(since).startswith("20")


def test_the_views_show_what_the_commands_show(mill: InlineMill) -> None:
    with reading(mill.parts.engine) as connection:
        check_top_words(connection)
        check_tokens_and_summaries(connection)
        check_labels_and_document_results(connection)
        check_keywords(connection)
        check_new_words_and_duplicates(connection)
        check_months_and_lengths(connection)
        check_documents(connection)
        check_jobs_dead_letters_and_corpora(connection)


def test_every_view_has_the_columns_that_it_promises(engine: Engine) -> None:
    inspector = inspect(engine)
    assert set(inspector.get_view_names()) == {view.name for view in VIEWS}
    for view in VIEWS:
        assert [column["name"] for column in inspector.get_columns(view.name)] == list(view.columns)


def test_both_databases_understand_the_statements_of_the_reference(engine: Engine) -> None:
    statements = [
        one
        for language, body in blocks_of("docs/reference/views.md")
        for one in body.split(";")
        if language == "sql" and one.strip()
    ]
    assert len(statements) == 3
    with reading(engine) as connection:
        for statement in statements:
            assert connection.execute(text(statement)).all() == []


def test_no_view_has_lost_a_column_that_was_promised() -> None:
    columns = {view.name: list(view.columns) for view in VIEWS}
    assert set(columns) == set(PROMISED), "a new view is a new promise"
    lost = [view for view, names in PROMISED.items() if columns.get(view, [])[: len(names.split())] != names.split()]
    assert lost == []


def test_a_downgrade_takes_the_views_away_and_an_upgrade_makes_them_again(empty_engine: Engine) -> None:
    upgrade(empty_engine)
    downgrade(empty_engine, "0004")
    assert inspect(empty_engine).get_view_names() == []
    upgrade(empty_engine)
    with reading(empty_engine) as connection:
        for view in VIEWS:
            assert connection.execute(text(f"SELECT * FROM {view.name}")).all() == []


def test_a_table_may_be_altered_under_its_views(empty_engine: Engine) -> None:
    upgrade(empty_engine)

    def step(connection: Connection) -> None:
        operations = Operations(MigrationContext.configure(connection))
        views.drop(connection)
        with operations.batch_alter_table("summaries") as batch:
            batch.alter_column("model", type_=Integer(), postgresql_using="0")
        views.make(connection)

    transact(empty_engine, step)
    assert {view.name for view in VIEWS} == set(inspect(empty_engine).get_view_names())


def test_views_that_are_as_they_should_be_are_left_alone_and_others_made_anew(
    empty_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrade(empty_engine)
    digest = views.digest_of(empty_engine.dialect.name)
    made: list[str] = []
    original = views.create_statement

    def noting(view: View, dialect: str) -> str:
        made.append(view.name)
        return original(view, dialect)

    monkeypatch.setattr(views, "digest_of", lambda _: digest)
    monkeypatch.setattr(views, "create_statement", noting)
    upgrade(empty_engine)
    assert made == []
    call(empty_engine, lambda connection: connection.exec_driver_sql("DROP VIEW v_jobs"))
    upgrade(empty_engine)
    assert made == [view.name for view in VIEWS]


@pytest.mark.postgres
def test_what_was_granted_on_views_and_built_on_them_stays_when_they_are_made_anew(
    empty_postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = create_engine(make_url(empty_postgres_database).set(drivername="postgresql+psycopg"))
    upgrade(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("GRANT SELECT ON v_top_words TO PUBLIC")
        connection.exec_driver_sql("CREATE VIEW mine AS SELECT word FROM v_top_words WHERE corpus = 'poems'")
    monkeypatch.setattr(views, "digest_of", lambda _: "another program's")
    upgrade(engine)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT * FROM mine").all() == []
        assert connection.scalar(text("SELECT has_table_privilege('pg_monitor', 'v_top_words', 'SELECT')"))
        with pytest.raises(DBAPIError, match="cannot delete from view"):
            connection.exec_driver_sql("DELETE FROM v_top_words")
    engine.dispose()
