"""Writes many rows of one table as tuples, new ones and those that replace others. Reads nothing and decides nothing.

SQLite takes them by one prepared statement. PostgreSQL takes them by COPY into a table of the session's own, and from
there by one INSERT: a fifth of the time, and a tenth of the client's, that an INSERT for each row takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import Connection, Table

from storage.engine import load_rows

#: Fewer rows than this are inserted one by one on PostgreSQL too: a COPY comes with two more statements.
COPIED_ROWS = 100
#: How each database writes "these values differ", nulls being equal.
_DIFFERS: Final = {"postgresql": "IS DISTINCT FROM", "sqlite": "IS NOT"}


def write_new(connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows, their values in the order of `columns`; one whose key is there already is left as it stands."""
    _write(connection, table, columns, rows, "ON CONFLICT DO NOTHING")


def write_over(
    connection: Connection,
    table: Table,
    columns: Sequence[str],
    rows: Sequence[tuple[Any, ...]],
    *,
    keys: Sequence[str],
    stamps: Sequence[str] = (),
    where: str = "TRUE",
) -> None:
    """Insert rows; one whose `keys` are there already takes the values of all other columns.

    Of rows with equal keys the last counts. A row that differs in nothing but `stamps`, which say when it was written,
    is left as it stands, so that nothing of it is written again. `where` is the condition of the keys' unique index, in
    the words of the index.
    """
    key_of = itemgetter(*(columns.index(name) for name in keys))
    latest = {key_of(row): row for row in rows}
    taken = [name for name in columns if name not in keys]
    compared = [name for name in taken if name not in stamps]
    present = ", ".join(f'"{table.name}"."{name}"' for name in compared)
    given = ", ".join(f'excluded."{name}"' for name in compared)
    changes = ", ".join(f'"{name}" = excluded."{name}"' for name in taken)
    differs = f"({present}) {_DIFFERS[connection.dialect.name]} ({given})"
    conflict = f"ON CONFLICT ({_listed(keys)}) WHERE {where} DO UPDATE SET {changes} WHERE {differs}"
    _write(connection, table, columns, list(latest.values()), conflict)


def _write(
    connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]], conflict: str
) -> None:
    if not rows:
        return
    insert = f'INSERT INTO "{table.name}" ({_listed(columns)})'
    if connection.dialect.name == "postgresql" and len(rows) >= COPIED_ROWS:
        connection.exec_driver_sql(f"{insert} {_select_copied(connection, table, columns, rows)} {conflict}")
        return
    mark = "%s" if connection.dialect.name == "postgresql" else "?"
    values = ", ".join(mark for _ in columns)
    connection.exec_driver_sql(f"{insert} VALUES ({values}) {conflict}", list(rows))


def _select_copied(
    connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]
) -> str:
    """Copy rows into the session's own table beside a table, and return the SELECT that reads them in their order."""
    copied = f"copied_{table.name}"
    select = f"SELECT {_listed(columns)} FROM"
    # Empty after every transaction, and made again by a session that has none.
    connection.exec_driver_sql(
        f'CREATE TEMPORARY TABLE IF NOT EXISTS "{copied}" ON COMMIT DELETE ROWS AS {select} "{table.name}" WITH NO DATA'
    )
    load_rows(connection, copied, columns, rows)
    return f'{select} "{copied}"'


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in columns)
