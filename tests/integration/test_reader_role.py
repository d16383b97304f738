"""The role of deploy/postgres/reader-role.sql reads every view, and no table below them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ProgrammingError

from storage.engine import open_engine, reading
from storage.migrate import upgrade
from storage.schema import metadata
from storage.view_statements import VIEWS
from tests.support.availability import REPOSITORY

SCRIPT = REPOSITORY / "deploy" / "postgres" / "reader-role.sql"

pytestmark = pytest.mark.postgres


@pytest.fixture
def reader(empty_postgres_database: str) -> Iterator[Engine]:
    """Return an engine that logs in as the reader."""
    owner = open_engine(empty_postgres_database)
    upgrade(owner)
    owner.dispose()
    url = make_url(empty_postgres_database).set(drivername="postgresql+psycopg")
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    statements = SCRIPT.read_text(encoding="utf-8").replace(":'password'", "'reader-password'")
    with engine.connect() as connection:
        # The driver takes a percent sign for the beginning of a parameter.
        connection.exec_driver_sql(statements.replace("%", "%%"))
    found = open_engine(url.set(username="hanmill_reader", password="reader-password").render_as_string(False))
    try:
        yield found
    finally:
        found.dispose()
        with engine.connect() as connection:
            connection.exec_driver_sql("DROP OWNED BY hanmill_reader; DROP ROLE hanmill_reader")
        engine.dispose()


def test_a_role_for_readers_sees_every_view_and_no_table(reader: Engine) -> None:
    with reading(reader) as connection:
        assert connection.scalar(text("SELECT current_user")) == "hanmill_reader"
        for view in VIEWS:
            assert connection.execute(text(f"SELECT * FROM {view.name}")).all() == []
    for table in metadata.tables:
        with pytest.raises(ProgrammingError, match="permission denied"), reading(reader) as connection:
            connection.exec_driver_sql(f'SELECT * FROM "{table}"')
    for forbidden in ("DELETE FROM v_corpora", "CREATE TABLE x (y int)", "DROP VIEW v_jobs"):
        with pytest.raises(ProgrammingError), reading(reader) as connection:
            connection.exec_driver_sql(forbidden)
