"""Partial counts and word counts on both databases: written once, published as a whole, read in one order."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine

from storage import ledger, partial_counts, word_counts
from storage.engine import count_rows, reading
from storage.partial_counts import Known
from storage.schema import partial_counts as partial_table
from storage.schema import word_counts as word_table
from tests.support.builders import (
    FINGERPRINT,
    call,
    change_shard,
    finish_all,
    lease,
    make_corpus,
    make_job,
    outcome,
    shard_ids,
)

DIGEST = b"\x00\xff" * 16


def make_generation(engine: Engine, digest: bytes = DIGEST, fingerprint: str = FINGERPRINT) -> int:
    return call(engine, word_counts.make_generation, make_corpus(engine), fingerprint, 1, digest)


def publish(engine: Engine, generation_id: int, job_id: int | None = None) -> None:
    """Let readers see a generation as the sum of a job, of a new one if none is named."""
    call(engine, word_counts.publish, generation_id, job_id or make_job(engine))


def words(engine: Engine, generation_id: int) -> list[tuple[str, int, int]]:
    with reading(engine) as connection:
        return [
            (word, count, in_documents) for word, count, in_documents in word_counts.by_count(connection, generation_id)
        ]


class TestPartialCounts:
    """What the map of a shard left behind."""

    def test_blobs_come_back_byte_by_byte_in_order_of_partitions(self, engine: Engine) -> None:
        blobs = [bytes([number]) * 3 + b"\x00" for number in range(4)]
        call(engine, partial_counts.save, DIGEST, FINGERPRINT, blobs, Known(4, 3, 1, 9))
        assert partial_counts.load(engine, FINGERPRINT, DIGEST, 4, [3, 1]) == [blobs[1], blobs[3]]
        assert call(engine, partial_counts.find, DIGEST, FINGERPRINT) == Known(4, 3, 1, 9)

    def test_a_second_writing_changes_nothing(self, engine: Engine) -> None:
        for blob in (b"first", b"second"):
            call(engine, partial_counts.save, DIGEST, FINGERPRINT, [blob], Known(1, 3, 0, 9))
        assert partial_counts.load(engine, FINGERPRINT, DIGEST, 1, [0]) == [b"first"]

    def test_what_was_never_counted_so_is_not_known(self, engine: Engine) -> None:
        call(engine, partial_counts.save, DIGEST, FINGERPRINT, [b"x"], Known(1, 3, 0, 9))
        assert call(engine, partial_counts.find, DIGEST, "e" * 32) is None
        assert call(engine, partial_counts.find, b"d" * 32, FINGERPRINT) is None

    def test_a_missing_blob_stops_the_sum(self, engine: Engine) -> None:
        call(engine, partial_counts.save, DIGEST, FINGERPRINT, [b"x"], Known(2, 3, 0, 9))
        with pytest.raises(LookupError, match="not complete"):
            partial_counts.load(engine, FINGERPRINT, DIGEST, 2, [0, 1])

    def test_the_same_content_may_be_kept_with_several_numbers_of_partitions(self, engine: Engine) -> None:
        for blobs in ([b"whole"], [b"left", b"right"]):
            call(engine, partial_counts.save, DIGEST, FINGERPRINT, blobs, Known(len(blobs), 3, 0, 9))
        assert partial_counts.load(engine, FINGERPRINT, DIGEST, 2, [1]) == [b"right"]
        assert call(engine, count_rows, partial_table) == 3

    def test_a_sum_is_over_shards_so_that_equal_contents_count_twice(self, engine: Engine) -> None:
        job_id = make_job(engine, 2)
        finish_all(engine, job_id)
        with reading(engine) as connection:
            found = [(row.id, row.digest, row.partitions) for row in partial_counts.done_shards(connection, job_id)]
        assert found == [(shard_id, b"d" * 32, 1) for shard_id in shard_ids(engine, job_id)]

    def test_only_shards_that_are_done_belong_to_a_sum(self, engine: Engine) -> None:
        job_id = make_job(engine, 6)
        ids = shard_ids(engine, job_id)
        finish_all(engine, job_id)
        for shard_id, state in zip(ids, ("SPLIT", "DEAD", "PENDING", "QUEUED", "LEASED"), strict=False):
            change_shard(engine, shard_id, state=state)
        with reading(engine) as connection:
            assert [row.id for row in partial_counts.done_shards(connection, job_id)] == ids[5:]

    def test_shards_are_read_and_written_over_one_connection(self, engine: Engine) -> None:
        job_id, corpus_id = make_job(engine, 2), make_corpus(engine)
        finish_all(engine, job_id)

        def work(connection: Connection) -> int:
            found = list(partial_counts.done_shards(connection, job_id))
            return word_counts.make_generation(connection, corpus_id, FINGERPRINT, job_id, found[0].digest)

        assert call(engine, work) > 0


class TestWordCounts:
    """Readers see the generation that was published last, and never a mixture."""

    def test_words_come_by_count_then_in_code_point_order(self, engine: Engine) -> None:
        generation = make_generation(engine)
        rows = [("天", 2, 1), ("Zeit", 2, 2), ("zeit", 2, 1), ("𠮷", 2, 1), ("\uff0c", 2, 1), ("的", 9, 3)]
        call(engine, word_counts.replace_partition, generation, 0, rows)
        assert words(engine, generation) == [rows[5], *sorted(rows[:5])]

    def test_partitions_are_read_as_one(self, engine: Engine) -> None:
        generation = make_generation(engine)
        call(engine, word_counts.replace_partition, generation, 1, [("乙", 5, 1)])
        call(engine, word_counts.replace_partition, generation, 0, [("甲", 7, 2), ("丙", 1, 1)])
        assert words(engine, generation) == [("甲", 7, 2), ("乙", 5, 1), ("丙", 1, 1)]

    def test_writing_a_partition_again_replaces_it_alone(self, engine: Engine) -> None:
        generation = make_generation(engine)
        call(engine, word_counts.replace_partition, generation, 0, [("旧", 1, 1), ("也旧", 1, 1)])
        call(engine, word_counts.replace_partition, generation, 1, [("乙", 5, 1)])
        call(engine, word_counts.replace_partition, generation, 0, [("新", 2, 1)])
        assert words(engine, generation) == [("乙", 5, 1), ("新", 2, 1)]

    def test_an_empty_partition_is_a_partition(self, engine: Engine) -> None:
        generation = make_generation(engine)
        call(engine, word_counts.replace_partition, generation, 0, [])
        assert words(engine, generation) == []

    def test_words_of_any_length_and_with_any_sign_are_stored(self, engine: Engine) -> None:
        generation = make_generation(engine)
        rows = [("字" * 400_000, 4, 1), ("\\N", 3, 1), ("a\tb\nc\\", 2, 1), ("'\"", 1, 1)]
        call(engine, word_counts.replace_partition, generation, 0, rows)
        assert words(engine, generation) == rows

    def test_counts_beyond_thirty_two_bits_are_stored(self, engine: Engine) -> None:
        generation = make_generation(engine)
        call(engine, word_counts.replace_partition, generation, 0, [("的", 2**40, 2**33)])
        assert words(engine, generation) == [("的", 2**40, 2**33)]

    def test_what_fails_half_way_leaves_the_partition_as_it_was(self, engine: Engine) -> None:
        generation = make_generation(engine)
        call(engine, word_counts.replace_partition, generation, 0, [("旧", 1, 1)])

        def rows() -> Iterator[tuple[str, int, int]]:
            yield ("新", 2, 1)
            message = "the sum broke off"
            raise ValueError(message)

        with pytest.raises(ValueError, match="broke off"):
            call(engine, word_counts.replace_partition, generation, 0, rows())
        assert words(engine, generation) == [("旧", 1, 1)]
        assert call(engine, count_rows, word_table) == 1

    def test_more_words_than_are_fetched_at_a_time_are_read(self, engine: Engine) -> None:
        generation = make_generation(engine)
        rows = [(f"词{number:05}", 10_000 - number, 1) for number in range(5000)]
        call(engine, word_counts.replace_partition, generation, 0, rows)
        assert words(engine, generation) == rows

    def test_readers_see_a_generation_only_when_it_is_published(self, engine: Engine) -> None:
        corpus_id = make_corpus(engine)
        first, second = make_generation(engine), make_generation(engine, b"e" * 32)
        assert call(engine, word_counts.current_generation, corpus_id) is None
        publish(engine, first)
        assert call(engine, word_counts.current_generation, corpus_id) == first
        publish(engine, second)
        assert call(engine, word_counts.current_generation, corpus_id) == second

    def test_what_is_read_is_the_sum_of_the_job_that_was_planned_last(self, engine: Engine) -> None:
        corpus_id = make_corpus(engine)
        older, newer = make_generation(engine), make_generation(engine, b"e" * 32)
        first, second = make_job(engine), make_job(engine)
        for job_id, sealed_at in ((first, 1000), (second, 2000)):
            statement = f"UPDATE jobs SET sealed_at = {sealed_at} WHERE id = {job_id}"
            call(engine, lambda connection, statement=statement: connection.exec_driver_sql(statement))
        publish(engine, newer, second)
        publish(engine, older, first)
        assert call(engine, word_counts.current_generation, corpus_id) == newer, "the older job only ended later"
        publish(engine, older, second)
        assert call(engine, word_counts.current_generation, corpus_id) == older, "the newer job has the older sum"

    def test_a_generation_is_found_by_the_first_digits_of_its_fingerprint(self, engine: Engine) -> None:
        corpus_id = make_corpus(engine)
        first, second = make_generation(engine, fingerprint="ab" * 16), make_generation(engine, fingerprint="cd" * 16)
        for generation in (first, second):
            publish(engine, generation)
        assert call(engine, word_counts.current_generation, corpus_id, "abab") == first
        assert call(engine, word_counts.current_generation, corpus_id, "_b") is None

    def test_only_a_published_sum_of_the_very_same_is_found_again(self, engine: Engine) -> None:
        corpus_id = make_corpus(engine)
        generation = make_generation(engine)
        assert call(engine, word_counts.find_published, corpus_id, FINGERPRINT, DIGEST) is None
        publish(engine, generation)
        assert call(engine, word_counts.find_published, corpus_id, FINGERPRINT, DIGEST) == generation
        assert call(engine, word_counts.find_published, corpus_id, FINGERPRINT, b"e" * 32) is None


def test_a_shard_that_commits_writes_its_counts_in_the_same_transaction(engine: Engine) -> None:
    job_id = make_job(engine, 1)
    held = lease(engine, shard_ids(engine, job_id)[0])

    def work(connection: Connection) -> None:
        assert ledger.finish(connection, held, outcome(digest=DIGEST))
        partial_counts.save(connection, DIGEST, FINGERPRINT, [b"x"], Known(1, 3, 0, 9))
        message = "killed before the commit"
        raise RuntimeError(message)

    with pytest.raises(RuntimeError, match="killed"):
        call(engine, work)
    assert call(engine, count_rows, partial_table) == 0
    assert call(engine, ledger.holds, held)
