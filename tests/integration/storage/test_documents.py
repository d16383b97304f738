"""Documents on both databases: written idempotently, by value or by reference, and ranked when it is asked."""

from __future__ import annotations

import random

import pytest
from sqlalchemy import Engine, select, update

from storage import tokens
from storage.documents import (
    ENQUEUED_POSITION,
    Document,
    NewDocument,
    count_shadowed,
    enqueue,
    load_enqueued,
    ranked_records,
    save_records,
    text_sha256,
)
from storage.engine import AnyRow, count_rows, reading
from storage.schema import documents, sources
from storage.sources import Record
from tests.support.builders import FINGERPRINT, at_once, call, make_corpus
from tests.support.source_listing import listed, refresh, source_rows


@pytest.fixture
def corpus_id(engine: Engine) -> int:
    return make_corpus(engine)


@pytest.fixture
def two_sources(engine: Engine, corpus_id: int) -> tuple[AnyRow, AnyRow]:
    refresh(engine, corpus_id, [listed("a"), listed("b")])
    first, second = source_rows(engine, corpus_id)
    return first, second


def stands_in(source: AnyRow, key: str, text: str, offset: int = 0) -> Document:
    return Document(text, text_sha256(text), Record(key, text, offset, len(text.encode())), source)


def winners(engine: Engine, corpus_id: int) -> dict[str, bytes]:
    with reading(engine) as connection:
        return {row.key: row.sha256 for row in connection.execute(ranked_records(corpus_id)) if row.rank == 1}


class TestByReference:
    """Records that stand in sources."""

    def test_a_record_is_one_row_however_often_it_is_written(
        self, engine: Engine, two_sources: tuple[AnyRow, AnyRow]
    ) -> None:
        for _ in range(2):
            call(
                engine,
                save_records,
                [stands_in(two_sources[0], "k", "今天"), stands_in(two_sources[0], "l", "明天", 9)],
            )
        assert call(engine, count_rows, documents) == 2

    def test_more_records_than_one_statement_takes_are_written(
        self, engine: Engine, two_sources: tuple[AnyRow, AnyRow]
    ) -> None:
        many = [stands_in(two_sources[0], f"k{number}", "字", number) for number in range(2100)]
        call(engine, save_records, many)
        call(engine, save_records, many)
        assert call(engine, count_rows, documents) == 2100

    def test_a_changed_source_overwrites_the_record_in_its_place(
        self, engine: Engine, corpus_id: int, two_sources: tuple[AnyRow, AnyRow]
    ) -> None:
        call(engine, save_records, [stands_in(two_sources[0], "k", "旧")])
        refresh(engine, corpus_id, [listed("a", stamp="2"), listed("b")])
        call(engine, save_records, [stands_in(source_rows(engine, corpus_id)[0], "k", "新")])
        assert winners(engine, corpus_id) == {"k": text_sha256("新")}
        assert call(engine, count_rows, documents) == 1

    def test_records_of_an_earlier_version_of_their_source_are_no_documents(
        self, engine: Engine, corpus_id: int, two_sources: tuple[AnyRow, AnyRow]
    ) -> None:
        call(engine, save_records, [stands_in(two_sources[0], "gone", "旧"), stands_in(two_sources[1], "k", "在")])
        refresh(engine, corpus_id, [listed("a", stamp="2"), listed("b")])
        assert set(winners(engine, corpus_id)) == {"k"}
        assert call(engine, count_shadowed, corpus_id) == (0, 0)

    def test_metadata_is_kept_as_json(self, engine: Engine, two_sources: tuple[AnyRow, AnyRow]) -> None:
        record = Record("k", "字", 0, 3, {"标题": "天气", "b": 1})
        call(engine, save_records, [Document("字", text_sha256("字"), record, two_sources[0])])
        with reading(engine) as connection:
            assert connection.scalar(select(documents.c.metadata)) == '{"b": 1, "标题": "天气"}'


class TestRanking:
    """Of records that share a key the highest in (source order, offset) is the document."""

    def test_the_later_source_wins_over_the_later_offset(
        self, engine: Engine, corpus_id: int, two_sources: tuple[AnyRow, AnyRow]
    ) -> None:
        first, second = two_sources
        call(engine, save_records, [stands_in(first, "k", "甲", 900), stands_in(second, "k", "乙", 0)])
        assert winners(engine, corpus_id) == {"k": text_sha256("乙")}

    def test_in_one_source_the_later_offset_wins(
        self, engine: Engine, corpus_id: int, two_sources: tuple[AnyRow, AnyRow]
    ) -> None:
        call(
            engine,
            save_records,
            [stands_in(two_sources[0], "k", text, offset) for offset, text in ((9, "乙"), (0, "甲"))],
        )
        assert winners(engine, corpus_id) == {"k": text_sha256("乙")}

    def test_what_a_producer_enqueued_wins_over_every_source_and_the_last_one_over_the_others(
        self, engine: Engine, corpus_id: int, two_sources: tuple[AnyRow, AnyRow]
    ) -> None:
        for text in ("丙", "丁"):
            call(engine, enqueue, corpus_id, [NewDocument("k", text)], 1000)
        call(engine, save_records, [stands_in(two_sources[1], "k", "乙")])
        assert winners(engine, corpus_id) == {"k": text_sha256("丁")}

    def test_the_same_text_is_identical_and_another_is_replaced(
        self, engine: Engine, corpus_id: int, two_sources: tuple[AnyRow, AnyRow]
    ) -> None:
        first, second = two_sources
        call(
            engine,
            save_records,
            [
                stands_in(first, "k", "新", 0),
                stands_in(first, "k", "旧", 10),
                stands_in(first, "l", "独", 20),
                stands_in(second, "k", "新", 0),
                stands_in(second, "k", "新", 30),
            ],
        )
        assert call(engine, count_shadowed, corpus_id) == (2, 1)

    def test_no_order_of_writing_changes_the_outcome(
        self, engine: Engine, corpus_id: int, two_sources: tuple[AnyRow, AnyRow]
    ) -> None:
        records = [
            stands_in(source, key, f"{key}{offset % 3}", offset)
            for source in two_sources
            for key in "klm"
            for offset in (0, 7, 14)
        ]
        random.Random(7).shuffle(records)
        for record in records:
            call(engine, save_records, [record])
        assert winners(engine, corpus_id) == {key: text_sha256(f"{key}2") for key in "klm"}
        assert call(engine, count_shadowed, corpus_id) == (3, 12)

    def test_an_empty_corpus_shadows_nothing(self, engine: Engine, corpus_id: int) -> None:
        assert call(engine, count_shadowed, corpus_id) == (0, 0)

    def test_records_of_other_corpora_do_not_count(
        self, engine: Engine, corpus_id: int, two_sources: tuple[AnyRow, AnyRow]
    ) -> None:
        call(engine, save_records, [stands_in(two_sources[0], "k", "甲")])
        call(engine, enqueue, make_corpus(engine, "别的"), [NewDocument("k", "乙")], 1000)
        assert winners(engine, corpus_id) == {"k": text_sha256("甲")}


class TestEnqueueing:
    """Documents that producers give by value."""

    def test_new_documents_come_back_in_packs_of_about_the_given_size(self, engine: Engine, corpus_id: int) -> None:
        given = [NewDocument(f"k{number}", "四个汉字") for number in range(5)]
        packs = call(engine, enqueue, corpus_id, given, 24)
        assert [len(rows) for rows in packs.values()] == [2, 2, 1]
        assert [row.length for rows in packs.values() for row in rows] == [12] * 5

    def test_a_document_larger_than_a_pack_has_one_of_its_own(self, engine: Engine, corpus_id: int) -> None:
        given = [NewDocument("a", "字" * 100), NewDocument("b", "字"), NewDocument("c", "字")]
        assert [len(rows) for rows in call(engine, enqueue, corpus_id, given, 24).values()] == [1, 2]

    def test_enqueueing_the_same_again_adds_nothing(self, engine: Engine, corpus_id: int) -> None:
        given = [NewDocument("k", "今天"), NewDocument("l", "今天")]
        call(engine, enqueue, corpus_id, given, 1000)
        assert call(engine, enqueue, corpus_id, given, 1000) == {}
        assert call(engine, count_rows, documents) == 2

    def test_a_repetition_inside_one_call_is_one_document(self, engine: Engine, corpus_id: int) -> None:
        packs = call(engine, enqueue, corpus_id, [NewDocument("k", "今天")] * 3, 1000)
        assert [len(rows) for rows in packs.values()] == [1]

    def test_nothing_enqueued_is_nothing_written(self, engine: Engine, corpus_id: int) -> None:
        assert call(engine, enqueue, corpus_id, [], 1000) == {}

    def test_the_text_comes_back_as_it_was_given(self, engine: Engine, corpus_id: int) -> None:
        text = "𠮷野家\r\n\t\u3000“引号”\ufeff\U0001f600"
        packs = call(engine, enqueue, corpus_id, [NewDocument("k", text, {"作者": "甲"})], 1000)
        ids = [row.id for rows in packs.values() for row in rows]
        with reading(engine) as connection:
            (row,) = load_enqueued(connection, ids)
        assert (row.key, row.text, row.metadata, row.position) == ("k", text, '{"作者": "甲"}', ENQUEUED_POSITION)
        assert bytes(row.sha256) == text_sha256(text)

    def test_more_documents_than_one_statement_takes_are_loaded_in_order(self, engine: Engine, corpus_id: int) -> None:
        given = [NewDocument(f"k{number}", f"第{number}篇") for number in range(1100)]
        packs = call(engine, enqueue, corpus_id, given, 1_000_000)
        ids = [row.id for rows in packs.values() for row in rows]
        with reading(engine) as connection:
            assert [row.key for row in load_enqueued(connection, ids)] == [document.key for document in given]

    def test_two_producers_may_enqueue_the_same_at_once(self, engine: Engine, corpus_id: int) -> None:
        given = [NewDocument(f"k{number}", "今天") for number in range(20)]
        results = at_once([lambda: call(engine, enqueue, corpus_id, given, 1000)] * 3)
        assert sum(len(rows) for packs in results for rows in packs.values()) == 20
        assert call(engine, count_rows, documents) == 20


class TestTokens:
    """Tokens are keyed by text, and shown for the document of each key."""

    def test_known_texts_are_found_with_their_number_of_tokens(self, engine: Engine) -> None:
        cut = {text_sha256("今天天气"): ["今天", "天气"], text_sha256("好"): ["好"], text_sha256(""): []}
        for _ in range(2):
            call(engine, tokens.save, FINGERPRINT, cut)
        asked = [*cut, text_sha256("未知")]
        assert call(engine, tokens.known, FINGERPRINT, asked) == dict(zip(cut, (2, 1, 0), strict=True))
        assert call(engine, tokens.known, "e" * 32, asked) == {}

    def test_tokens_are_exported_by_key_in_code_point_order_for_winners_only(
        self, engine: Engine, corpus_id: int, two_sources: tuple[AnyRow, AnyRow]
    ) -> None:
        first, second = two_sources
        records = [stands_in(first, "b", "旧"), stands_in(second, "b", "新"), stands_in(first, "B", "大", 9)]
        records += [stands_in(first, "中", "中", 20), stands_in(first, "none", "无", 30)]
        call(engine, save_records, records)
        call(engine, tokens.save, FINGERPRINT, {text_sha256(text): [text, "、"] for text in "旧新大中"})
        with reading(engine) as connection:
            rows = list(tokens.export_rows(connection, corpus_id, FINGERPRINT))
        assert rows == [{"key": key, "tokens": [text, "、"]} for key, text in (("B", "大"), ("b", "新"), ("中", "中"))]


def test_a_source_that_is_restamped_hides_its_records_at_once(
    engine: Engine, corpus_id: int, two_sources: tuple[AnyRow, AnyRow]
) -> None:
    call(engine, save_records, [stands_in(two_sources[0], "k", "甲")])
    call(engine, lambda connection: connection.execute(update(sources).values(version=2)))
    assert winners(engine, corpus_id) == {}
