"""The role of deploy/postgres/worker-role.sql suffices for all work, and for nothing that is none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ProgrammingError

from storage.corpora import corpus_id_of
from storage.engine import reading
from storage.sources import ListingOptions
from storage.word_counts import by_count, current_generation
from tests.support.availability import REPOSITORY
from tests.support.inline_mill import InlineMill
from tests.support.reference import serial_counts

SCRIPT = REPOSITORY / "deploy" / "postgres" / "worker-role.sql"
TEXTS = ["明月几时有", "把酒问青天", "不知天上宫阙"]

pytestmark = pytest.mark.postgres


@pytest.fixture
def worker_url(empty_postgres_database: str, home: Path) -> Iterator[str]:
    owner = InlineMill(home, empty_postgres_database)
    owner.parts.engine.dispose()
    url = make_url(empty_postgres_database).set(drivername="postgresql+psycopg")
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    statements = SCRIPT.read_text(encoding="utf-8").replace(":'password'", "'worker-password'")
    with engine.connect() as connection:
        connection.exec_driver_sql(statements)
    try:
        yield url.set(drivername="postgresql", username="hanmill_worker", password="worker-password").render_as_string(
            hide_password=False
        )
    finally:
        with engine.connect() as connection:
            connection.exec_driver_sql("DROP OWNED BY hanmill_worker; DROP ROLE hanmill_worker")
        engine.dispose()


def test_a_role_that_may_only_change_rows_does_all_work(worker_url: str, home: Path, tmp_path: Path) -> None:
    file = tmp_path / "texts.txt"
    file.write_text("\n".join(TEXTS), encoding="utf-8")
    mill = InlineMill(home, worker_url)
    for _ in range(2):
        mill.run([file], "news", "count", "tokenize", listing=ListingOptions(lines=True))
    with reading(mill.parts.engine) as connection:
        assert connection.scalar(text("SELECT current_user")) == "hanmill_worker"
        generation = current_generation(connection, corpus_id_of(connection, "news"))
        assert generation is not None
        counts = {word: (count, documents) for word, count, documents in by_count(connection, generation)}
    assert counts == serial_counts(TEXTS)
    with reading(mill.parts.engine) as connection:
        seen = connection.execute(text("SELECT word, count, documents FROM v_top_words WHERE corpus = 'news'"))
        assert {word: (count, documents) for word, count, documents in seen} == counts
    for forbidden in (
        "DROP TABLE shards",
        "CREATE TABLE x (y int)",
        "TRUNCATE jobs",
        "CREATE ROLE x",
        "ALTER TABLE jobs DISABLE TRIGGER ALL",
    ):
        with pytest.raises(ProgrammingError), reading(mill.parts.engine) as connection:
            connection.exec_driver_sql(forbidden)
    mill.parts.engine.dispose()
