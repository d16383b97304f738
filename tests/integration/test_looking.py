"""What the driver alone is asked is what SQLAlchemy gives, on both databases; the unusual goes the long way."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from storage import job_views
from storage.asking import ConnectionAsker, NoGlanceError, one_of, open_glance
from storage.engine import open_engine, reading, transact
from storage.errors import TransientError, UsageError
from storage.migrate import upgrade
from storage.sources import ListingOptions
from tests.support.inline_mill import InlineMill
from tests.support.mill_results import open_mill
from workers.cli.job_list import _listed
from workers.cli.job_report import answer
from workers.cli.opening import look
from workers.settings import load_settings


@pytest.fixture
def mill(home: Path, database_url: str, tmp_path: Path) -> Iterator[InlineMill]:
    """Return a mill that has counted and cut two lines, and set a third aside."""
    (tmp_path / "lines.jsonl").write_text('{"text": "一条新闻"}\n{"text": "两条新闻"}\n{broken\n', encoding="utf-8")
    with open_mill(home, database_url) as made:
        made.run([tmp_path / "lines.jsonl"], "c", "count", "tokenize", listing=ListingOptions())
        yield made


def test_jobs_letters_and_errors_are_the_same_either_way(mill: InlineMill, database_url: str) -> None:
    failed = text("UPDATE shards SET error = '100% wrong' WHERE job_id = 1 AND kind = 'map'")
    transact(mill.parts.engine, lambda connection: connection.execute(failed))
    with reading(mill.parts.engine) as connection, open_glance(database_url) as glance:
        slow = ConnectionAsker(connection)
        for job_id in (1, 2):
            assert answer(glance, job_id) == answer(slow, job_id)
            assert job_views.letters(glance, job_id) == job_views.letters(slow, job_id)
        assert _listed(glance, everything=True) == _listed(slow, everything=True)
        assert job_views.list_ids(glance, unfinished=True) == []
        assert answer(glance, 1)["last_errors"][0]["error"] == "100% wrong"
        assert len(job_views.letters(glance, None, 1)) == 1
        assert abs(glance.clock() - slow.clock()) < 60.0
        with pytest.raises(UsageError, match="there is no job 9"):
            answer(glance, 9)


def test_a_glance_changes_nothing(mill: InlineMill, database_url: str) -> None:
    with open_glance(database_url) as glance, pytest.raises(NoGlanceError):
        glance.ask("UPDATE jobs SET priority = 1 WHERE id = :job", {"job": 1})


def test_a_schema_that_is_not_the_programs_own_is_not_looked_at(empty_database_url: str) -> None:
    engine = open_engine(empty_database_url)
    upgrade(engine)
    older = text("UPDATE alembic_version SET version_num = '0001'")
    transact(engine, lambda connection: connection.execute(older))
    engine.dispose()
    with pytest.raises(NoGlanceError, match="schema"), open_glance(empty_database_url):
        pass


def test_a_database_without_tables_is_not_looked_at(empty_database_url: str, tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "empty.db").close()
    with pytest.raises(NoGlanceError), open_glance(empty_database_url):
        pass


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////nowhere/hanmill.db",
        "sqlite:///{file}?mode=ro",
        "mysql://127.0.0.1/h",
        "postgresql+psycopg2://127.0.0.1/h",
        "postgresql://nobody:x@127.0.0.1:1/h",
    ],
)
def test_what_the_driver_cannot_open_goes_the_long_way(url: str, tmp_path: Path) -> None:
    with pytest.raises(NoGlanceError), open_glance(url.format(file=tmp_path)):
        pass


def test_the_long_way_says_what_is_wrong(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANMILL_DATABASE_URL", "postgresql://nobody:secret@127.0.0.1:1/h")
    load_settings.cache_clear()
    with pytest.raises(TransientError, match="does not answer") as raised:
        look(job_views.list_ids)
    assert "secret" not in str(raised.value)


def test_no_value_at_all_fulfils_no_condition() -> None:
    assert one_of("id", [], "id") == ("id IN (NULL)", {})
    assert one_of("id", [3, 5], "id") == ("id IN (:id0, :id1)", {"id0": 3, "id1": 5})
