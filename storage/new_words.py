"""New words of a corpus, by generation; and the frequent n-grams of a merge's partitions, until the last has come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias, cast

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.sql import func

from storage.engine import load_rows
from storage.new_word_tables import frequent_grams, new_words
from storage.schema import generations, shards
from storage.states import ShardState

#: A new word as it is written and read: word, count, pmi, entropy of its left and right neighbours, score.
NewWordRow: TypeAlias = tuple[str, int, float, float, float, float]
FIELDS = ("word", "count", "pmi", "left_entropy", "right_entropy", "score")


def ideographs_of(connection: Connection, job_id: int) -> int:
    """Return how many ideographs the shards of a job have counted."""
    statement = select(func.coalesce(func.sum(shards.c.tokens), 0)).where(
        shards.c.job_id == job_id, shards.c.kind == "map", shards.c.state == ShardState.DONE
    )
    return int(connection.scalar(statement) or 0)


def lock_generation(connection: Connection, generation_id: int) -> None:
    """Let one partition at a time say that it is there, so that the last one sees all others."""
    connection.execute(select(generations.c.id).where(generations.c.id == generation_id).with_for_update())


def save_grams(connection: Connection, generation_id: int, partition: int, data: bytes) -> None:
    """Keep the frequent n-grams of one partition, in place of what stands there."""
    of_partition = (frequent_grams.c.generation_id == generation_id) & (frequent_grams.c.partition == partition)
    connection.execute(delete(frequent_grams).where(of_partition))
    values = {"generation_id": generation_id, "partition": partition, "data": data}
    connection.execute(insert(frequent_grams).values(**values))


def load_grams(connection: Connection, generation_id: int) -> dict[int, bytes]:
    """Return the frequent n-grams of the partitions that are there, by partition."""
    statement = (
        select(frequent_grams.c.partition, frequent_grams.c.data)
        .where(frequent_grams.c.generation_id == generation_id)
        .order_by(frequent_grams.c.partition)
    )
    return {partition: bytes(data) for partition, data in connection.execute(statement)}


def replace_words(connection: Connection, generation_id: int, words: Iterable[NewWordRow]) -> None:
    """Write the words of a generation, the best first, and drop the n-grams they were chosen from."""
    connection.execute(delete(new_words).where(new_words.c.generation_id == generation_id))
    rows = ((generation_id, position, *row) for position, row in enumerate(words))
    load_rows(connection, new_words, ("generation_id", "position", *FIELDS), rows)
    connection.execute(delete(frequent_grams).where(frequent_grams.c.generation_id == generation_id))


def by_score(connection: Connection, generation_id: int) -> Iterator[NewWordRow]:
    """Yield the words of a generation, the highest score first."""
    columns = (new_words.c[name] for name in FIELDS)
    statement = select(*columns).where(new_words.c.generation_id == generation_id).order_by(new_words.c.position)
    # Closed when the reader stops early too: on PostgreSQL it is a cursor on the server.
    with connection.execute(statement.execution_options(yield_per=2000)) as rows:
        for row in rows:
            yield cast(NewWordRow, tuple(row))
