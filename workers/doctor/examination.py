"""Gathers the facts that the doctor judges: home, database, broker, workers. Changes nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from kombu.exceptions import OperationalError

from storage import migrate
from storage.broker_state import RedisState
from storage.engine import Engine, open_engine, reading
from storage.equation import jobs_that_do_not_add_up
from storage.errors import HanmillError
from storage.inspection import check_reachable, operations_waiting
from storage.refused_messages import RefusedMessages
from storage.revisions import head_revision
from tasks.operation import get_operation
from tasks.text.rjieba_engine import PROVEN_VERSION, installed_version
from workers.celery_app import build_app
from workers.doctor import checks
from workers.doctor.broker import broker_fault
from workers.doctor.checks import Finding, State
from workers.doctor.limits import judge_limits
from workers.settings import mask

if TYPE_CHECKING:
    from workers.settings import Settings

#: Seconds that workers have to answer which queues they consume.
INSPECT_TIMEOUT_S = 2.0


def examine(settings: Settings) -> Iterator[Finding]:
    """Look at everything, and yield what was found, in the order in which it should be mended."""
    yield from _home(settings)
    if settings.fault_plan:
        yield checks.judge_fault_plan(settings.fault_plan)
    limits = settings.soft_time_limit_s, settings.hard_time_limit_s, settings.visibility_timeout_s
    yield checks.judge_time_limits(soft_s=limits[0], hard_s=limits[1], visibility_s=limits[2])
    yield judge_limits(settings)
    yield checks.judge_jieba(_installed("jieba"))
    yield checks.judge_fast_engine(installed_version(), PROVEN_VERSION)
    engine, findings = _database(settings)
    yield from findings
    fault = broker_fault(settings)
    is_needed = bool(settings.database_url) or "broker_url" in settings.model_fields_set
    yield checks.judge_broker(mask(settings.broker_url), fault, is_needed=is_needed)
    if fault is None and settings.broker_url.startswith("redis"):
        yield from _redis(settings)
    if engine is not None:
        with reading(engine) as connection:
            yield checks.judge_figures(jobs_that_do_not_add_up(connection))
        if fault is None or not is_needed:
            yield _workers(settings, engine, is_needed=is_needed)
        engine.dispose()


def _home(settings: Settings) -> Iterator[Finding]:
    home = settings.home.absolute()
    # A home that is not there yet is made by whoever needs it first, not by the doctor.
    there = next(path for path in (home, *home.parents) if path.exists())
    is_writable = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    yield checks.judge_home(str(home), None if is_writable else f"{there} cannot be written")
    if there == home:
        yield checks.judge_privacy(str(home), home.stat().st_mode)
    yield checks.judge_disk(str(home), shutil.disk_usage(there).free)


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _database(settings: Settings) -> tuple[Engine | None, list[Finding]]:
    """Return the engine, if the database answers with the right schema, and what was found."""
    if not settings.database_url and not (settings.home.absolute() / "hanmill.db").exists():
        # Asking SQLite would make the file.
        return None, [Finding("database", State.OK, "none yet; the first `hanmill run` makes it")]
    shown_url = mask(settings.sql_url)
    try:
        engine = open_engine(settings.sql_url)
        check_reachable(engine, shown_url)
    except HanmillError as error:
        return None, [checks.judge_database(shown_url, str(error))]
    found, head = migrate.current_revision(engine), head_revision()
    schema = checks.judge_schema(found, head, is_known=migrate.is_known(found), suits=migrate.suits(engine))
    findings = [checks.judge_database(shown_url, None), schema]
    if schema.state is State.OK:
        return engine, findings
    engine.dispose()
    return None, findings


def _redis(settings: Settings) -> list[Finding]:
    state, refused = RedisState(settings.broker_url), RefusedMessages(settings.broker_url)
    try:
        return [*checks.judge_redis(state.health()), checks.judge_refused(refused.newest_first())]
    except HanmillError as error:
        return [Finding("redis", State.FAIL, str(error), "see HANMILL_BROKER_URL")]
    finally:
        state.close()
        refused.close()


def _workers(settings: Settings, engine: Engine, *, is_needed: bool) -> Finding:
    with reading(engine) as connection:
        operations = operations_waiting(connection)
    waiting: dict[str, int] = {}
    for operation, shards in operations.items():
        queue = get_operation(operation).queue
        waiting[queue] = waiting.get(queue, 0) + shards
    if not is_needed:
        return checks.judge_unfinished(waiting)
    return checks.judge_consumers(waiting, consumed_queues(settings))


def consumed_queues(settings: Settings) -> set[str]:
    """Return the queues that workers consume, as far as they answer in time."""
    app = build_app(settings)
    try:
        answers = app.control.inspect(timeout=INSPECT_TIMEOUT_S).active_queues() or {}
    except (OperationalError, OSError):
        return set()
    finally:
        app.close()
    return {queue["name"] for queues in answers.values() for queue in queues}
