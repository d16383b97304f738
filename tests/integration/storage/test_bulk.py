"""Many rows written at once, on both databases: by single statements, and on PostgreSQL by COPY when they are many."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Connection, Engine, select

from storage.bulk import COPIED_ROWS, write_new, write_over
from storage.engine import reading, transact
from storage.schema import documents, tokens
from tests.support.builders import call, make_corpus

TOKEN_COLUMNS = ("sha256", "fingerprint", "count", "tokens")
COLUMNS = ("corpus_id", "key", "source_id", "position", "offset", "length", "sha256", "metadata", "created_at")
KEYS = ("corpus_id", "key", "source_id", "offset")
#: So many rows go by plain statements on PostgreSQL, and so many by COPY.
FEW_AND_MANY = pytest.mark.parametrize("rows", [COPIED_ROWS - 1, COPIED_ROWS + 1])


def token_rows(rows: int, count: int) -> list[tuple[Any, ...]]:
    return [(number.to_bytes(32), "f" * 32, count, f'["词\\t{number}"]') for number in range(rows)]


def document_rows(corpus_id: int, rows: int, metadata: str | None, created_at: float) -> list[tuple[Any, ...]]:
    return [
        (corpus_id, f"键{number}\\\n", 7, 1, number, 3, number.to_bytes(32), metadata, created_at)
        for number in range(rows)
    ]


def write_documents(engine: Engine, rows: list[tuple[Any, ...]]) -> None:
    call(
        engine,
        write_over,
        documents,
        COLUMNS,
        rows,
        keys=KEYS,
        stamps=["created_at"],
        where="source_id <> 0",
    )


def written(engine: Engine) -> list[tuple[Any, ...]]:
    statement = select(*(documents.c[name] for name in COLUMNS)).order_by(documents.c.id)
    with reading(engine) as connection:
        return [tuple(row) for row in connection.execute(statement)]


@FEW_AND_MANY
def test_a_row_that_is_there_is_left_as_it_stands(engine: Engine, rows: int) -> None:
    call(engine, write_new, tokens, TOKEN_COLUMNS, token_rows(rows // 2, count=1))
    call(engine, write_new, tokens, TOKEN_COLUMNS, token_rows(rows, count=2))
    with reading(engine) as connection:
        found = [tuple(row) for row in connection.execute(select(tokens).order_by(tokens.c.sha256))]
    assert found == [*token_rows(rows // 2, count=1), *token_rows(rows, count=2)[rows // 2 :]]


@FEW_AND_MANY
def test_a_row_that_is_there_takes_the_new_values(engine: Engine, rows: int) -> None:
    corpus_id = make_corpus(engine)
    write_documents(engine, document_rows(corpus_id, rows, metadata=None, created_at=1.0))
    changed = document_rows(corpus_id, rows, metadata='{"题": "新"}', created_at=2.0)
    write_documents(engine, changed)
    assert written(engine) == changed


@FEW_AND_MANY
def test_a_row_that_differs_only_in_when_it_was_written_is_not_written_again(engine: Engine, rows: int) -> None:
    corpus_id = make_corpus(engine)
    first = document_rows(corpus_id, rows, metadata=None, created_at=1.0)
    write_documents(engine, first)
    write_documents(engine, document_rows(corpus_id, rows, metadata=None, created_at=2.0))
    assert written(engine) == first


@FEW_AND_MANY
def test_of_rows_with_equal_keys_in_one_writing_the_last_counts(engine: Engine, rows: int) -> None:
    corpus_id = make_corpus(engine)
    first = document_rows(corpus_id, rows, metadata=None, created_at=1.0)
    last = document_rows(corpus_id, 1, metadata="{}", created_at=2.0)
    write_documents(engine, [*first, *last])
    assert written(engine) == [*last, *first[1:]]


@FEW_AND_MANY
def test_rows_written_twice_in_one_transaction_or_taken_back_with_it_are_right(engine: Engine, rows: int) -> None:
    def work(connection: Connection) -> None:
        write_new(connection, tokens, TOKEN_COLUMNS, token_rows(rows, count=1))
        write_new(connection, tokens, TOKEN_COLUMNS, token_rows(rows + 1, count=2))
        message = "taken back"
        raise ValueError(message)

    for _ in range(2):
        with pytest.raises(ValueError, match="taken back"):
            transact(engine, work)
        with reading(engine) as connection:
            assert connection.execute(select(tokens)).all() == []
