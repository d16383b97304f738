"""Makes the views that people query, and takes them away while the tables below them change.

Every upgrade ends with `make`, so that no migration has to care for views: a step changes tables, and whatever it made
of them, the views show afterwards what they promised. SQLite cannot change a table under a view, so that there they are
dropped before the steps. PostgreSQL replaces them in place, and what was granted on them and built on them stays; a
step that takes a column away from under a view calls `drop` first, and the grants on it have to be given again.

What the views show stands in `view_statements.py`.
"""

from __future__ import annotations

import hashlib
import re
from string import Template
from typing import Any

from sqlalchemy import Connection, MetaData, event, inspect

from storage import marks
from storage.schema import metadata
from storage.view_statements import FRAGMENTS, VIEWS, View

#: The mark that holds the digest of the statements by which the views were made.
MADE_BY = "schema.views"
#: What both databases write for words that stand for longer ones.
_COMMON = {
    # Of the job that was planned last, as `word_counts.current_generation` has it.
    r"GENERATION\((\w+)\)": "(SELECT published.id FROM generations AS published "
    "JOIN jobs ON jobs.id = published.job_id "
    r"WHERE published.corpus_id = corpora.id AND published.published_at IS NOT NULL AND jobs.operation = '\1' "
    "ORDER BY jobs.sealed_at DESC, published.published_at DESC, published.id DESC LIMIT 1)",
    r"MONTH\(([^()]+)\)": r"CASE \1 WHEN 0 THEN NULL ELSE "
    r"substr(CAST(\1 AS TEXT), 1, 4) || '-' || substr(CAST(\1 AS TEXT), 5, 2) END",
}
#: What each database writes for the words of the statements. `\1` is what stands between the brackets.
_WORDS = {
    "sqlite": {
        r"HEX\(([^()]+)\)": r"lower(hex(\1))",
        r"INSTANT\(([^()]+)\)": r"strftime('%Y-%m-%dT%H:%M:%fZ', \1, 'unixepoch')",
        r"JSON\(([^()]+)\)": r"json(\1)",
        r"OBJECT\(": "json_object(",
        r"LIST\(": "json_group_array(",
        r"CLOCK\(\)": "((julianday('now') - 2440587.5) * 86400.0)",
        r"EACH\(([^()]+)\)": r"json_each(\1) AS item",
        r"PLACE\(\)": "item.key + 1",
        r"FIELD\((\w+)\)": r"json_extract(item.value, '$.\1')",
        r"NUMBER\((\w+)\)": r"CAST(json_extract(item.value, '$.\1') AS REAL)",
    },
    "postgresql": {
        r"HEX\(([^()]+)\)": r"encode(\1, 'hex')",
        r"INSTANT\(([^()]+)\)": r"to_timestamp(\1)",
        r"JSON\(([^()]+)\)": r"CAST(\1 AS jsonb)",
        r"OBJECT\(": "jsonb_build_object(",
        r"LIST\(": "jsonb_agg(",
        r"CLOCK\(\)": "extract(epoch from clock_timestamp())::double precision",
        r"EACH\(([^()]+)\)": "LATERAL jsonb_array_elements(CAST("
        r"\1 AS jsonb)) WITH ORDINALITY AS item(value, place) ON TRUE",
        r"PLACE\(\)": "item.place",
        r"FIELD\((\w+)\)": r"item.value ->> '\1'",
        r"NUMBER\((\w+)\)": r"CAST(item.value ->> '\1' AS double precision)",
    },
}


def make(connection: Connection) -> None:
    """Bring every view to what this program promises; nothing is done where all are there and made by it."""
    dialect = connection.dialect.name
    digest = digest_of(dialect)
    if marks.get(connection, MADE_BY) == digest and _present(connection) == {view.name for view in VIEWS}:
        return
    if dialect == "sqlite":
        drop(connection)
    for view in VIEWS:
        connection.exec_driver_sql(create_statement(view, dialect))
    marks.put(connection, MADE_BY, digest)


def drop(connection: Connection) -> None:
    """Take away every view that is there. Call it before a step that changes what a view reads."""
    present = _present(connection)
    for view in reversed(VIEWS):
        if view.name in present:
            connection.exec_driver_sql(f"DROP VIEW {view.name}")


def create_statement(view: View, dialect: str) -> str:
    """Return the statement that makes a view, in the words of a database: `sqlite` or `postgresql`."""
    select = Template(view.select).substitute(FRAGMENTS)
    for word, own in {**_COMMON, **_WORDS[dialect]}.items():
        select = re.sub(rf"\b{word}", own, select)
    verb = "CREATE" if dialect == "sqlite" else "CREATE OR REPLACE"
    return f"{verb} VIEW {view.name} AS {' '.join(select.split())}"


def digest_of(dialect: str) -> str:
    """Return the digest of the statements of all views."""
    return hashlib.sha256("\n".join(create_statement(view, dialect) for view in VIEWS).encode()).hexdigest()


def _present(connection: Connection) -> set[str]:
    return set(inspect(connection).get_view_names()) & {view.name for view in VIEWS}


@event.listens_for(metadata, "after_create")
def _make_views(_: MetaData, connection: Connection, **__: Any) -> None:
    make(connection)
