"""What the README shows is run as it stands there: the producer, the plain Celery client, and the SQL."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from storage import jobs
from storage.corpora import corpus_id_of
from storage.engine import reading
from storage.errors import UsageError
from storage.word_counts import by_count, current_generation
from tests.support.availability import REPOSITORY
from tests.support.deployment import Deployment
from tests.support.inline_mill import InlineMill
from tests.support.reference import serial_counts


def snippet(language: str, holds: str, page: str = "README.md") -> str:
    """Return the README's block of code that holds some text."""
    readme = (REPOSITORY / page).read_text(encoding="utf-8")
    blocks = re.findall(rf"```{language}\n(.*?)```", readme, re.DOTALL)
    (found,) = [block for block in blocks if holds in block]
    return str(found)


def test_the_producer_of_the_readme_stores_and_counts(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, until: Callable[[Callable[[], bool], str], None]
) -> None:
    monkeypatch.setenv("HANMILL_DATABASE_URL", deployment.settings.database_url)
    monkeypatch.setenv("HANMILL_BROKER_URL", deployment.settings.broker_url)
    names: dict[str, Any] = {}
    exec(snippet("python", "workers.producer"), names)  # noqa: S102 - our own README
    assert len(names["jobs"]) == 2
    with deployment.workers(1):
        until(lambda: all(deployment.view(job_id)["state"] == "DONE" for job_id in names["jobs"]), "both jobs end")
    assert deployment.counts("news") == serial_counts(["今天天气很好。"])


def test_the_celery_client_of_the_readme_is_heard(
    deployment: Deployment, until: Callable[[Callable[[], bool], str], None]
) -> None:
    code = snippet("python", "hanmill.ingest")
    assert "redis://queue.example:6379/0" in code
    names: dict[str, Any] = {}
    exec(code.replace("redis://queue.example:6379/0", deployment.settings.broker_url), names)  # noqa: S102

    def has_job() -> bool:
        with reading(deployment.parts.engine) as connection:
            try:
                return bool(jobs.list_ids(connection, corpus_id=corpus_id_of(connection, "news")))
            except UsageError:
                return False

    with deployment.workers(1):
        until(has_job, "the message became a job")
    names["app"].close()


@pytest.mark.parametrize("page", ["README.md", "README.zh.md"])
def test_the_sql_of_the_readme_gives_the_most_frequent_words(page: str, home: Path, sqlite_url: str) -> None:
    mill = InlineMill(home, sqlite_url)
    mill.run([REPOSITORY / "tests" / "samples" / "corpus"], "sample", "count")
    with reading(mill.parts.engine) as connection:
        rows = connection.exec_driver_sql(snippet("sql", "ORDER BY count DESC", page)).all()
        generation = current_generation(connection, corpus_id_of(connection, "sample"))
        assert generation is not None
        expected = [row for _, row in zip(range(20), by_count(connection, generation), strict=False)]
    assert [tuple(row) for row in rows] == [tuple(row) for row in expected]
