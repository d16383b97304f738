"""New words and frequent n-grams on both databases: written in place of what stands there, read in their order."""

from __future__ import annotations

from sqlalchemy import Engine

from storage import new_words
from storage.engine import reading
from storage.new_words import NewWordRow
from tests.support.builders import call, finish, make_job, outcome, shard_ids

ROWS: list[NewWordRow] = [
    ("碳达峰", 7, 6.5, 2.0, 1.5, 9.75),
    ("𠮷野家", 5, 7.25, 1.0, 3.0, 7.25),
    ("丁薛祥", 2**40, 0.0, 0.0, 0.0, 0.0),
]


def read(engine: Engine, generation_id: int) -> list[NewWordRow]:
    with reading(engine) as connection:
        return list(new_words.by_score(connection, generation_id))


def test_words_come_back_in_the_order_they_were_given(engine: Engine) -> None:
    call(engine, new_words.replace_words, 1, ROWS)
    call(engine, new_words.replace_words, 2, ROWS[:1])
    assert (read(engine, 1), read(engine, 2), read(engine, 3)) == (ROWS, ROWS[:1], [])


def test_a_second_writing_takes_the_place_of_the_first(engine: Engine) -> None:
    call(engine, new_words.replace_words, 1, ROWS)
    call(engine, new_words.replace_words, 1, ROWS[1:])
    assert read(engine, 1) == ROWS[1:]


def test_n_grams_of_partitions_stand_until_the_words_are_written(engine: Engine) -> None:
    for generation, partition, data in ((1, 2, b"old"), (1, 0, b"zero"), (1, 2, b"two\x00"), (2, 0, b"other")):
        call(engine, new_words.save_grams, generation, partition, data)
    assert call(engine, new_words.load_grams, 1) == {0: b"zero", 2: b"two\x00"}
    call(engine, new_words.replace_words, 1, ROWS)
    assert (call(engine, new_words.load_grams, 1), call(engine, new_words.load_grams, 2)) == ({}, {0: b"other"})


def test_ideographs_are_those_of_the_shards_that_are_done(engine: Engine) -> None:
    job_id = make_job(engine, 3, operation="discover")
    assert call(engine, new_words.ideographs_of, job_id) == 0
    first, second, _ = shard_ids(engine, job_id)
    for shard_id, tokens in ((first, 9), (second, 4)):
        finish(engine, shard_id, outcome(tokens=tokens))
    assert call(engine, new_words.ideographs_of, job_id) == 13
