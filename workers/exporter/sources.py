"""What the exporter reads: the ledger as it stands, its history, and the broker. Shows nothing itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage import metrics
from storage.broker_state import BrokerHealth, RedisState
from storage.engine import Engine, reading
from storage.equation import jobs_that_do_not_add_up
from storage.errors import TransientError
from storage.metrics import Progress, Waiting
from storage.metrics_history import AttemptHistory, Durations, RunHistory
from storage.presence import Presence
from storage.progress import OperationTotals, totals_by_operation
from storage.redis_keys import QUEUE_CONTROL, QUEUE_CPU, QUEUE_GPU
from storage.schedules import Lateness, lateness
from workers.amqp_state import AmqpState
from workers.celery_app import build_app
from workers.settings import Settings

QUEUES = (QUEUE_CPU, QUEUE_GPU, QUEUE_CONTROL)
#: Seconds that PostgreSQL may spend on a statement about the present.
STATEMENT_S = 4.0
#: Seconds that it may spend on one about the past: the first one reads every attempt there ever was.
HISTORY_STATEMENT_S = 3600.0


@dataclass(frozen=True, slots=True)
class Ledger:
    """How the ledger stands."""

    jobs: Mapping[tuple[str, str], int]
    shards: Mapping[tuple[str, str], int]
    waiting: Sequence[Waiting]
    busy: Mapping[str, int]
    progress: Sequence[Progress]
    totals: Sequence[OperationTotals]
    letters: Mapping[str, int]
    schedules: Sequence[Lateness]
    #: Finished jobs whose figures do not add up.
    wrong_jobs: int = 0


@dataclass(frozen=True, slots=True)
class History:
    """What attempts and runs of models came to since ever."""

    outcomes: Mapping[tuple[str, str], int]
    durations: Mapping[str, Durations]
    runs: Mapping[tuple[str, str], Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Broker:
    """How the queue stands; what RabbitMQ does not tell is None."""

    waiting: Mapping[str, int]
    workers: Mapping[str, int]
    in_flight: Mapping[str, int] | None = None
    redis: BrokerHealth | None = None


class LedgerSource:
    """Reads the ledger, each time within one transaction."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._settings = settings
        self._engine = engine
        self._attempts = AttemptHistory()
        self._runs = RunHistory()

    def read(self) -> Ledger:
        """Return how the ledger stands; raises `TransientError` when the database is away."""
        self._require_file()
        with reading(self._engine) as connection:
            metrics.limit_statements(connection, STATEMENT_S)
            return Ledger(
                metrics.jobs_by_state(connection),
                metrics.shards_by_state(connection),
                metrics.waiting(connection),
                metrics.busy_processes(connection),
                metrics.progress_of_open_jobs(connection),
                totals_by_operation(connection),
                metrics.standing_letters(connection),
                lateness(connection),
                len(jobs_that_do_not_add_up(connection)),
            )

    def read_history(self) -> History:
        """Return what was done since ever; raises `TransientError` when the database is away."""
        self._require_file()
        with reading(self._engine) as connection:
            metrics.limit_statements(connection, HISTORY_STATEMENT_S)
            self._attempts.read(connection)
            self._runs.read(connection)
        return History(self._attempts.outcomes(), self._attempts.durations(), self._runs.sums())

    def _require_file(self) -> None:
        # Asking SQLite would make the file.
        path = self._engine.url.database
        if self._engine.dialect.name == "sqlite" and path and not Path(path).exists():
            message = f"there is no database {path} yet; `hanmill run` or `hanmill db upgrade` makes it"
            raise TransientError(message)


class RedisSource:
    """Reads a Redis."""

    def __init__(self, broker_url: str) -> None:
        self._state = RedisState(broker_url)
        self._presence = Presence(broker_url)

    def read(self) -> Broker:
        """Return how the queue stands; raises `TransientError` when Redis is away."""
        in_flight = self._state.in_flight()
        workers = self._presence.workers_by_queue()
        return Broker(
            waiting={queue: self._state.waiting(queue) for queue in QUEUES},
            workers={queue: workers.get(queue, 0) for queue in QUEUES},
            in_flight={queue: in_flight.get(queue, 0) for queue in QUEUES},
            redis=self._state.health(),
        )


class AmqpSource:
    """Reads a RabbitMQ."""

    def __init__(self, app: Any) -> None:
        self._state = AmqpState(app)

    def read(self) -> Broker:
        """Return how the queue stands; raises `TransientError` when RabbitMQ is away."""
        counted = {queue: self._state.counts(queue) for queue in QUEUES}
        return Broker(
            waiting={queue: found.messages for queue, found in counted.items()},
            workers={queue: found.consumers for queue, found in counted.items()},
        )


def broker_source(settings: Settings) -> RedisSource | AmqpSource:
    """Return what reads the broker that the settings name."""
    if settings.broker_url.startswith("redis"):
        return RedisSource(settings.broker_url)
    return AmqpSource(build_app(settings))
