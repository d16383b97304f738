"""Migrations against both databases: they end at the declared schema, come down again, and may race."""

from __future__ import annotations

from threading import Barrier, Thread
from typing import TYPE_CHECKING, Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, inspect, text, update
from sqlalchemy.schema import MetaData, Table

from storage import tokens
from storage.documents import text_sha256
from storage.engine import open_engine, reading, transact
from storage.errors import UsageError
from storage.migrate import check_schema, current_revision, downgrade, upgrade
from storage.revisions import head_revision
from storage.schema import metadata
from tests.support.builders import FINGERPRINT, call

if TYPE_CHECKING:
    from sqlalchemy import Connection

SQLITE_SHAPE = "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE '%alembic_version%'"
#: Everything that PostgreSQL knows of columns, indexes and constraints, as text.
POSTGRESQL_SHAPE = """
SELECT 'column', attrelid::regclass::text, attname, format_type(atttypid, atttypmod) || ' ' || attnotnull
       || ' ' || coalesce(pg_get_expr(adbin, adrelid), '') || ' ' || attcollation::regcollation::text
       || ' ' || coalesce(col_description(attrelid, attnum), '')
  FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
  LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
 WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0 AND relname <> 'alembic_version'
UNION ALL SELECT 'index', tablename, indexname, indexdef FROM pg_indexes
 WHERE schemaname = 'public' AND tablename <> 'alembic_version'
UNION ALL SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
 WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'alembic_version'
UNION ALL SELECT 'options', relname, array_to_string(reloptions, ' '), '' FROM pg_class
 WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND reloptions IS NOT NULL
UNION ALL SELECT 'trigger', tgrelid::regclass::text, pg_get_triggerdef(pg_trigger.oid), pg_get_functiondef(tgfoid)
  FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT 'view', viewname, definition, '' FROM pg_views WHERE schemaname = 'public'
"""


def shape(engine: Engine) -> set[tuple[str, ...]]:
    """Return everything that the database itself says of its tables, white space aside."""
    statement = SQLITE_SHAPE if engine.dialect.name == "sqlite" else POSTGRESQL_SHAPE
    with reading(engine) as connection:
        rows = connection.execute(text(statement)).all()
    return {tuple(_words(str(value)) for value in row) for row in rows}


def _words(sql: str) -> str:
    # SQLite keeps the words of the statement; the order of the constraints in it means nothing.
    return " ".join(sorted(sql.replace(",", " ").split())) if sql.startswith("CREATE TABLE") else sql


@pytest.fixture
def migrated(empty_engine: Engine) -> Engine:
    """Return an engine to a database that the test may change as it likes."""
    upgrade(empty_engine)
    return empty_engine


def set_revision(engine: Engine, revision: str) -> None:
    """Write a revision as a migration of another version of the program would."""
    table = Table("alembic_version", MetaData(), autoload_with=engine)
    transact(engine, lambda connection: connection.execute(update(table).values(version_num=revision)))


def test_upgrading_an_empty_database_ends_at_exactly_the_declared_schema(empty_engine: Engine) -> None:
    upgrade(empty_engine)
    found = shape(empty_engine)
    downgrade(empty_engine, "base")
    transact(empty_engine, metadata.create_all)
    assert found == shape(empty_engine)


def test_alembic_sees_nothing_left_to_migrate(engine: Engine) -> None:
    def compare(connection: Connection) -> list[Any]:
        options = {"compare_type": True, "compare_server_default": True}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))

    assert transact(engine, compare) == []


def test_downgrading_to_base_leaves_no_table_of_ours(migrated: Engine) -> None:
    downgrade(migrated, "base")
    assert set(inspect(migrated).get_table_names()) == {"alembic_version"}
    assert current_revision(migrated) is None


def test_what_an_earlier_version_wrote_is_kept_by_an_upgrade_and_by_the_way_back(empty_engine: Engine) -> None:
    upgrade(empty_engine)
    downgrade(empty_engine, "0001")
    assert "summaries" not in inspect(empty_engine).get_table_names()
    cut = {text_sha256("明月"): ["明月"]}
    call(empty_engine, tokens.save, FINGERPRINT, cut)
    upgrade(empty_engine)
    check_schema(empty_engine)
    downgrade(empty_engine, "0001")
    assert call(empty_engine, tokens.known, FINGERPRINT, list(cut)) == {text_sha256("明月"): 1}


def test_upgrading_twice_changes_nothing(migrated: Engine) -> None:
    before = shape(migrated)
    upgrade(migrated)
    assert shape(migrated) == before
    assert current_revision(migrated) == head_revision()


def test_many_processes_may_upgrade_one_database_at_once(empty_database_url: str) -> None:
    engines = [open_engine(empty_database_url) for _ in range(4)]
    barrier = Barrier(len(engines))
    failures: list[BaseException] = []

    def work(engine: Engine) -> None:
        barrier.wait()
        try:
            upgrade(engine)
        except BaseException as error:  # noqa: BLE001 - the test tells of it
            failures.append(error)

    threads = [Thread(target=work, args=[engine]) for engine in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    check_schema(engines[0])
    for engine in engines:
        engine.dispose()


def test_a_database_at_the_head_passes_the_check(engine: Engine) -> None:
    check_schema(engine)


def test_a_database_without_tables_is_refused_with_the_remedy(empty_engine: Engine) -> None:
    with pytest.raises(UsageError, match="no tables yet; run `hanmill db upgrade`"):
        check_schema(empty_engine)


def test_a_database_newer_than_the_program_is_refused_and_left_alone(migrated: Engine) -> None:
    set_revision(migrated, "9999")
    with pytest.raises(UsageError, match="9999, which this program does not know"):
        check_schema(migrated)
    with pytest.raises(UsageError, match="9999"):
        upgrade(migrated)
