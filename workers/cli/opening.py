"""Opens what a command works with, and says in one sentence what is missing. Makes no database; `db upgrade` does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from storage.errors import TransientError, UsageError
from workers.cli.output import note

if TYPE_CHECKING:
    from storage.asking import Asker
    from workers.bootstrap import Parts
    from workers.dispatch import Publisher
    from workers.settings import Settings

Answer = TypeVar("Answer")


def look(question: Callable[[Asker], Answer]) -> Answer:
    """Answer a question about a deployment that is there, by the database's driver alone where that can be.

    Loading SQLAlchemy and the settings takes several times as long as the driver and the question. Wherever anything is
    unusual they are loaded after all, and the question asked over them. Raises what `open_parts` raises.
    """
    from storage.asking import ConnectionAsker, NoGlanceError, open_glance
    from workers.database_place import database_place

    place = database_place()
    if place is not None:
        try:
            with open_glance(place) as asker:
                return question(asker)
        except NoGlanceError:
            pass
    from storage.engine import reading

    with open_parts() as parts, reading(parts.engine) as connection:
        return question(ConnectionAsker(connection))


@contextmanager
def open_parts() -> Iterator[Parts]:
    """Have the parts of a deployment that is there, inside `with`.

    Raises `UsageError` when there is none or its schema is old, `TransientError` when the database does not answer.
    """
    from storage.migrate import check_schema
    from workers.bootstrap import build_parts
    from workers.settings import load_settings

    settings = load_settings()
    _require_home(settings)
    parts = build_parts(settings)
    with closing_engine(parts):
        check_schema(parts.engine)
        yield parts


def _require_home(settings: Settings) -> None:
    if is_embedded(settings) and not (settings.home.absolute() / "hanmill.db").exists():
        message = (
            f"there is nothing in {settings.home.absolute()} yet: run `hanmill run INPUT --corpus NAME` first, "
            "or set HANMILL_HOME or HANMILL_DATABASE_URL to where it is"
        )
        raise UsageError(message)


def is_embedded(settings: Settings) -> bool:
    """Say whether the database is the file in the home that `hanmill run` makes."""
    return not settings.database_url


@contextmanager
def closing_engine(parts: Parts) -> Iterator[None]:
    """Close the database in the end.

    Raises `TransientError` that names the database when it does not answer.
    """
    from storage.inspection import check_reachable
    from workers.settings import mask

    try:
        check_reachable(parts.engine, mask(parts.settings.sql_url))
        yield
    finally:
        parts.engine.dispose()


class AwayPublisher:
    """A publisher while the broker does not answer: nothing waits for it to come back."""

    def __init__(self, fault: str) -> None:
        self._fault = fault

    def publish_shards(self, queue: str, shard_ids: Sequence[int], job_id: int) -> None:  # noqa: ARG002 - its interface
        """Raise `TransientError`: the ledger keeps what is due."""
        raise TransientError(self._fault)


@contextmanager
def open_publisher(settings: Settings) -> Iterator[Publisher]:
    """Have what puts messages into the queue; tells the user when the broker does not answer just now."""
    from workers.doctor.broker import broker_fault

    fault = broker_fault(settings)
    if fault is not None:
        note(
            f"hanmill: {fault}; the work stands in the database, and the workers send it when the broker is back. "
            "See HANMILL_BROKER_URL"
        )
        yield AwayPublisher(fault)
        return
    from workers.celery_app import build_app
    from workers.celery_tasks import CeleryPublisher

    app = build_app(settings)
    try:
        yield CeleryPublisher(app)
    finally:
        app.close()


def dispatch_now(parts: Parts, job_id: int) -> None:
    """Let a job's messages go at once; where that cannot be, the reconciler does it later."""
    from workers.dispatch import dispatch_job

    if is_embedded(parts.settings) and "broker_url" not in parts.settings.model_fields_set:
        note("a `hanmill run` that is going on takes it up within seconds; without one, start `hanmill run` again")
        return
    with open_publisher(parts.settings) as publisher:
        dispatch_job(parts, publisher, job_id)
