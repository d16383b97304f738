"""Corpora and their sources on both databases: named, refreshed, packed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import Engine, insert

from storage.corpora import (
    Refreshed,
    corpus_bytes,
    corpus_id_of,
    list_corpora,
    make_corpus,
    next_pack,
    prepare_sources,
    restamp_source,
)
from storage.engine import count_rows, reading
from storage.errors import UsageError
from storage.schema import documents, sources
from tests.support.builders import at_once, call
from tests.support.source_listing import OPTIONS, listed, refresh, source_rows


@pytest.fixture
def corpus_id(engine: Engine) -> int:
    return call(engine, make_corpus, "新闻")


def packs(engine: Engine, corpus_id: int) -> dict[str, int | None]:
    prepare_sources(engine, corpus_id)
    return {row.uri.rpartition("/")[2]: row.pack for row in source_rows(engine, corpus_id)}


def test_a_corpus_is_made_once(engine: Engine) -> None:
    first = call(engine, make_corpus, "新闻")
    assert call(engine, make_corpus, "新闻") == first
    assert call(engine, make_corpus, "小说") != first
    assert call(engine, corpus_id_of, "新闻") == first


def test_an_unknown_corpus_is_a_usage_error_that_names_those_there_are(engine: Engine, corpus_id: int) -> None:
    with pytest.raises(UsageError, match="no corpus '旧闻'; there are: 新闻"):
        call(engine, corpus_id_of, "旧闻")


def test_the_first_corpus_is_missed_politely(engine: Engine) -> None:
    with pytest.raises(UsageError, match="there are: none yet"):
        call(engine, corpus_id_of, "新闻")


@pytest.mark.parametrize("name", ["", "字" * 201, "a\x00b"])
def test_a_name_that_no_database_takes_is_a_usage_error(engine: Engine, name: str) -> None:
    with pytest.raises(UsageError, match="1 to 200 characters"):
        call(engine, make_corpus, name)


def test_a_name_of_two_hundred_characters_fits(engine: Engine) -> None:
    assert call(engine, make_corpus, "字" * 200)


def test_new_sources_are_added_in_the_order_of_the_listing(engine: Engine, corpus_id: int) -> None:
    assert refresh(engine, corpus_id, [listed("乙"), listed("甲")]) == Refreshed(added=2)
    rows = source_rows(engine, corpus_id)
    assert [(row.uri, row.position, row.version) for row in rows] == [("/texts/乙", 1, 1), ("/texts/甲", 2, 1)]


def test_a_second_refresh_finds_nothing_new(engine: Engine, corpus_id: int) -> None:
    found = [listed("a"), listed("b")]
    refresh(engine, corpus_id, found)
    before = source_rows(engine, corpus_id)
    assert refresh(engine, corpus_id, found) == Refreshed(unchanged=2)
    assert source_rows(engine, corpus_id) == before


@pytest.mark.parametrize(
    "now_listed",
    [listed("a", 41), listed("a", stamp="2"), listed("a", options=replace(OPTIONS, encoding="gb18030"))],
    ids=["size", "stamp", "options"],
)
def test_a_changed_source_keeps_its_place_and_gets_a_new_version(
    engine: Engine, corpus_id: int, now_listed: object
) -> None:
    refresh(engine, corpus_id, [listed("a"), listed("b")])
    before = source_rows(engine, corpus_id)
    assert refresh(engine, corpus_id, [now_listed, listed("b")]) == Refreshed(changed=1, unchanged=1)  # type: ignore[list-item]
    after = source_rows(engine, corpus_id)
    assert (after[0].id, after[0].position, after[0].version) == (before[0].id, 1, 2)
    assert after[1] == before[1]


def test_what_an_input_no_longer_lists_is_removed_with_its_records(engine: Engine, corpus_id: int) -> None:
    refresh(engine, corpus_id, [listed("a"), listed("b")])
    gone = source_rows(engine, corpus_id)[0]
    record = {"corpus_id": corpus_id, "key": "k", "position": 1, "length": 1, "sha256": b"s" * 32, "created_at": 0.0}
    call(engine, lambda connection: connection.execute(insert(documents).values(**record, source_id=gone.id)))
    assert refresh(engine, corpus_id, [listed("b")]) == Refreshed(removed=1, unchanged=1)
    assert [row.uri for row in source_rows(engine, corpus_id)] == ["/texts/b"]
    assert call(engine, count_rows, documents) == 0


def test_refreshing_one_input_leaves_the_others_alone(engine: Engine, corpus_id: int) -> None:
    refresh(engine, corpus_id, [listed("a", given="/old"), listed("b", given="/old")])
    refresh(engine, corpus_id, [listed("c", given="/new")])
    assert [row.uri for row in source_rows(engine, corpus_id)] == ["/old/a", "/old/b", "/new/c"]


def test_a_number_is_never_given_to_another_source(engine: Engine, corpus_id: int) -> None:
    # A job that was planned before may still name the source that is gone.
    refresh(engine, corpus_id, [listed("a"), listed("b")])
    gone = source_rows(engine, corpus_id)[1]
    refresh(engine, corpus_id, [listed("a")])
    refresh(engine, corpus_id, [listed("a"), listed("c")])
    new = source_rows(engine, corpus_id)[1]
    assert new.id > gone.id
    assert new.position > gone.position


def test_more_sources_than_one_statement_takes_are_refreshed(engine: Engine, corpus_id: int) -> None:
    many = [listed(f"{number:05}") for number in range(1203)]
    assert refresh(engine, corpus_id, many) == Refreshed(added=1203)
    assert refresh(engine, corpus_id, many[600:]) == Refreshed(unchanged=603, removed=600)


def test_one_corpus_may_be_refreshed_by_two_processes_at_once(engine: Engine, corpus_id: int) -> None:
    found = [listed(f"{number:03}") for number in range(50)]
    results = at_once([lambda: refresh(engine, corpus_id, found)] * 3)
    assert sum(result.added for result in results) == 50
    assert [row.position for row in source_rows(engine, corpus_id)] == list(range(1, 51))


def test_a_source_that_changed_under_a_running_job_is_stamped_anew_once(engine: Engine, corpus_id: int) -> None:
    refresh(engine, corpus_id, [listed("a", 500)])
    prepare_sources(engine, corpus_id)
    (before,) = source_rows(engine, corpus_id)
    for _ in range(2):
        restamp_source(engine, before.id, 700, "2")
    (after,) = source_rows(engine, corpus_id)
    assert (after.size, after.stamp, after.version, after.cuts) == (700, "2", 2, None)


def test_small_sources_are_packed_up_to_the_shard_size(engine: Engine, corpus_id: int) -> None:
    refresh(engine, corpus_id, [listed(name, 40) for name in "abcde"])
    assert packs(engine, corpus_id) == {"a": 1, "b": 1, "c": 2, "d": 2, "e": 3}


def test_a_pack_stays_as_it_is_when_files_are_added(engine: Engine, corpus_id: int) -> None:
    refresh(engine, corpus_id, [listed("b"), listed("d"), listed("e")])
    before = packs(engine, corpus_id)
    refresh(engine, corpus_id, [listed(name) for name in "abcde"])
    after = packs(engine, corpus_id)
    assert {name: after[name] for name in before} == before
    assert {after["a"], after["c"]}.isdisjoint(before.values())


def test_the_shard_size_of_a_source_is_kept_from_its_first_refresh(engine: Engine, corpus_id: int) -> None:
    refresh(engine, corpus_id, [listed("a", 40)], shard_bytes=100)
    refresh(engine, corpus_id, [listed("a", 90, stamp="2"), listed("b", 40)], shard_bytes=50)
    assert [row.shard_bytes for row in source_rows(engine, corpus_id)] == [100, 50]


def test_a_large_source_is_cut_and_in_no_pack(engine: Engine, corpus_id: int) -> None:
    refresh(engine, corpus_id, [listed("a", 250), listed("b", 100)])
    assert packs(engine, corpus_id) == {"a": None, "b": 1}
    assert source_rows(engine, corpus_id)[0].cuts == "[[0,100],[100,100],[200,50]]"


def test_a_source_that_grew_leaves_its_pack_and_one_that_shrank_joins_one(engine: Engine, corpus_id: int) -> None:
    refresh(engine, corpus_id, [listed("a", 40), listed("b", 250)])
    packs(engine, corpus_id)
    refresh(engine, corpus_id, [listed("a", 250, stamp="2"), listed("b", 40, stamp="2")])
    assert packs(engine, corpus_id) == {"a": None, "b": 2}
    assert [row.cuts is None for row in source_rows(engine, corpus_id)] == [False, True]


def test_packs_are_numbered_once_however_many_plan_at_once(engine: Engine, corpus_id: int) -> None:
    refresh(engine, corpus_id, [listed(f"{number:02}", 60) for number in range(20)])
    at_once([lambda: prepare_sources(engine, corpus_id)] * 3)
    assert [row.pack for row in source_rows(engine, corpus_id)] == list(range(1, 21))


def test_pack_numbers_are_reserved_without_overlap(engine: Engine, corpus_id: int) -> None:
    firsts = at_once([lambda: call(engine, next_pack, corpus_id, 10)] * 4)
    assert sorted(firsts) == [1, 11, 21, 31]


def test_corpora_are_listed_with_what_they_hold(engine: Engine, corpus_id: int) -> None:
    refresh(engine, corpus_id, [listed("a", 40), listed("b", 50)])
    call(engine, make_corpus, "空")
    with reading(engine) as connection:
        shown = list_corpora(connection)
        assert corpus_bytes(connection, corpus_id) == 90
    by_name = {row["name"]: row for row in shown}
    assert (by_name["新闻"]["sources"], by_name["新闻"]["bytes"], by_name["空"]["sources"]) == (2, 90, 0)
    assert call(engine, count_rows, sources) == 2
