"""A job of a million shards, its rows really in SQL: what planning, dispatching, leasing and asking cost.

    python -m tests.bench.ledger_scale [--shards 1000000] [--sample 6000] [--processes 2] [--database postgresql]

Plans the job, then runs a sample of its shards at the beginning, in the middle and at the end, by the program's own
code over a real Redis; between the samples the shards pass through the same states in bulk, so that the tables have
seen as many changes as in a real run. What a shard computes is left out; see `ledger_scale_worker`. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import redis
from sqlalchemy import insert, select, text, update

from storage import job_ledger, jobs, ledger, partial_counts, progress
from storage.broker_state import client_url
from storage.corpora import make_corpus
from storage.engine import Connection, Engine, load_rows, reading, transact
from storage.migrate import upgrade
from storage.redis_keys import QUEUE_CPU
from storage.schema import job_progress, shards, sources
from storage.schema import jobs as job_table
from tests.bench import ledger_scale_worker
from tests.bench.whole_job import describe_run
from tests.support.postgres import fresh_database, running_postgres
from tests.support.redis_server import find_redis_binary, running_redis
from workers.bootstrap import Parts, build_parts
from workers.celery_app import build_app
from workers.celery_tasks import CeleryPublisher, queue_state
from workers.dispatch import dispatch_job
from workers.reconcile import reconcile
from workers.settings import Settings
from workers.submit import check_operations

#: Ranges of one source: a file of 4 GB in shards of 4 MB.
CUTS = 1000
SHARD_BYTES = 4 * 1024 * 1024
#: Shards that pass on in one transaction between the samples.
BULK = 2000
#: How often a question is asked; the median is stated.
ASKED = 15
#: Seconds that one step of a process may take.
LONGEST_S = 600.0
#: Windows that are filled one after the other for the rate of dispatching, unless that were over a fortieth of the job.
WINDOWS = 40


def main() -> None:
    """Run the simulation and print it as JSON."""
    options = _options()
    home = Path(tempfile.mkdtemp(prefix="hm-scale-"))
    try:
        with ExitStack() as stack:
            url = stack.enter_context(_database(options.database, home))
            binary = find_redis_binary()
            if binary is None:
                sys.exit("there is no redis-server or valkey-server")
            broker = stack.enter_context(running_redis(binary))
            settings = {"home": home, "database_url": url, "broker_url": broker}
            simulation = Simulation(settings, options.operation, options.shards, options.sample, options.processes)
            result = {**describe_run(), "database": options.database, **simulation.run()}
        print(json.dumps(result, indent=2, ensure_ascii=False))  # noqa: T201 - the result of a benchmark
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, default=1_000_000)
    parser.add_argument("--sample", type=int, default=6000, help="shards really run at each of three points")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--operation", choices=["tokenize", "count"], default="tokenize")
    parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
    return parser.parse_args()


@contextmanager
def _database(name: str, home: Path) -> Iterator[str]:
    if name == "sqlite":
        yield f"sqlite:///{home / 'hanmill.db'}"
        return
    with running_postgres(settings=()) as server, fresh_database(server) as url:
        yield url


class Simulation:
    """One job, from its planning to its last shard."""

    def __init__(self, settings: dict[str, Any], operation: str, shard_count: int, sample: int, processes: int) -> None:
        self._settings = settings
        self._parts: Parts = build_parts(Settings(**settings))
        self._engine: Engine = self._parts.engine
        upgrade(self._engine)
        (self._checked,) = check_operations(self._engine, [operation], {})
        self._shards = shard_count
        self._sample = sample
        self._processes = processes
        self._job_id = 0
        app = build_app(self._parts.settings)
        self._publisher = CeleryPublisher(app)
        self._queue = queue_state(app)
        self._redis = redis.Redis.from_url(client_url(self._parts.settings.broker_url))

    def run(self) -> dict[str, Any]:
        """Go through the whole of it."""
        result: dict[str, Any] = {"operation": self._checked.operation.name, "shards": self._shards}
        result["planning"] = self._plan()
        result["bytes_per_shard_row"] = self._bytes_per_row(shards.name, self._shards)
        for part, share in (("beginning", 0.0), ("middle", 0.5), ("end", 0.9)):
            result[f"passed_on_to_{part}_s"] = round(self._pass_on(int(self._shards * share)), 1)
            result[part] = self._look(part)
        result["merge_input"] = self._merge_input()
        result["job_list_1000_ms"] = self._job_list()
        result["status_command_s"] = self._status_command()
        result["counters"] = self._counters()
        return result

    # --- planning

    def _plan(self) -> dict[str, float]:
        self._job_id = transact(self._engine, self._make_job)
        (found,) = self._in_process(ledger_scale_worker.plan, self._job_id)
        return {
            "s": round(found.elapsed_s, 1),
            "shards_per_s": round(found.shards / found.elapsed_s),
            "grown_mb": round(found.grown_bytes / 1e6),
            "bytes_of_memory_per_shard": round(found.grown_bytes / found.shards),
        }

    def _make_job(self, connection: Connection) -> int:
        corpus_id = make_corpus(connection, "scale")
        cuts = [[number * SHARD_BYTES, SHARD_BYTES] for number in range(CUTS)]
        rows: list[tuple[Any, ...]] = []
        for position in range(1, self._shards // CUTS + 1):
            uri, size = f"/shared/corpus/part-{position:06}.jsonl", CUTS * SHARD_BYTES
            rows.append((corpus_id, position, uri, uri, size, "1", "{}", 1, SHARD_BYTES, json.dumps(cuts)))
        names = ("corpus_id", "position", "uri", "input", "size", "stamp", "options", "version", "shard_bytes", "cuts")
        load_rows(connection, sources, names, rows)
        connection.execute(text("UPDATE corpora SET next_position = :next"), {"next": len(rows) + 1})
        new = jobs.NewJob(corpus_id, self._checked.operation.name, self._checked.parameters, self._checked.fingerprint)
        return jobs.make_job(connection, new)

    # --- the run

    def _pass_on(self, until: int) -> float:
        """Have shards pass through their states in bulk, until so many are done."""
        started = time.perf_counter()
        while self._done() < until:
            transact(self._engine, self._pass_bulk)
        return time.perf_counter() - started

    def _done(self) -> int:
        with reading(self._engine) as connection:
            return progress.shards_by_state(connection, [self._job_id]).get("DONE", 0)

    def _pass_bulk(self, connection: Connection) -> None:
        ids = ledger.queue_due(connection, self._job_id, BULK)
        leased = update(shards).where(shards.c.id.in_(ids))
        connection.execute(leased.values(state="LEASED", token="bulk", lease_until=1e12, attempts=1, leased_at=1.0))
        done = {"state": "DONE", "token": None, "lease_until": None, "queued_at": None, "digest": shards.c.root_key}
        connection.execute(leased.values(finished_at=1.0, documents_in=900, results=900, tokens=90_000, **done))

    def _look(self, part: str) -> dict[str, Any]:
        """Measure what there is to measure at one point of the run."""
        return {
            "queries_ms": self._questions(),
            "dispatch": self._dispatch(),
            "reconcile_pass_s": round(_elapsed(self._reconcile), 3),
            "redis_bytes_per_message": self._bytes_per_message(),
            "workers": self._work(part),
        }

    def _dispatch(self) -> dict[str, float]:
        """Fill one window after the other; what was queued is done in bulk in between, off the clock."""
        rates: list[float] = []
        elapsed_s, busy_s, published = 0.0, 0.0, 0
        for _ in range(min(WINDOWS, self._shards // (40 * self._parts.settings.window) + 1)):
            started, busy = time.perf_counter(), time.process_time()
            sent = dispatch_job(self._parts, self._publisher, self._job_id)
            window_s = time.perf_counter() - started
            rates.append(sent / window_s)
            published += sent
            elapsed_s += window_s
            busy_s += time.process_time() - busy
            self._redis.delete(QUEUE_CPU)
            transact(self._engine, self._end_queued)
        return {
            "shards_per_s": round(published / elapsed_s),
            # What the machine gives when nobody else is on it.
            "shards_per_s_in_best_tenth": round(statistics.quantiles(rates, n=10)[-1]) if len(rates) > 1 else 0,
            "processor_us_per_shard": round(1e6 * busy_s / published),
            "shards": published,
        }

    def _end_queued(self, connection: Connection) -> None:
        queued = update(shards).where(shards.c.job_id == self._job_id, shards.c.state == "QUEUED")
        connection.execute(queued.values(state="DONE", queued_at=None, digest=shards.c.root_key))

    def _reconcile(self) -> None:
        dispatch_job(self._parts, self._publisher, self._job_id)
        reconcile(self._parts, self._publisher, self._queue, at_once=True)

    def _bytes_per_message(self) -> int:
        waiting = self._redis.llen(QUEUE_CPU)
        return round(int(self._redis.memory_usage(QUEUE_CPU, samples=0) or 0) / waiting) if waiting else 0

    def _work(self, part: str) -> dict[str, Any]:
        """Run shards one process, then several."""
        found: dict[str, Any] = {}
        for processes in sorted({1, self._processes}):
            dispatch_job(self._parts, self._publisher, self._job_id)
            done = self._in_process(
                ledger_scale_worker.work, self._job_id, self._sample // (2 * processes), processes=processes
            )
            number, elapsed_s = sum(one.shards for one in done), max(one.elapsed_s for one in done)
            found[f"{processes}_processes"] = {
                "shards": number,
                "shards_per_s": round(number / elapsed_s),
                "processor_ms_per_shard": round(1000 * sum(one.busy_s for one in done) / number, 2),
                "s_per_1000_shards": round(1000 * elapsed_s / number, 2),
                "waiting_share": round(sum(one.waiting_s for one in done) / sum(one.elapsed_s for one in done), 3),
                "dispatching_share": round(
                    sum(one.dispatching_s for one in done) / sum(one.elapsed_s for one in done), 3
                ),
            }
        print(f"{part}: {json.dumps(found)}", file=sys.stderr)  # noqa: T201 - how far it is
        return found

    # --- questions

    def _questions(self) -> dict[str, float]:
        def due(connection: Connection) -> Any:
            return connection.scalar(
                select(shards.c.id)
                .where(shards.c.job_id == self._job_id, shards.c.state == "PENDING")
                .order_by(shards.c.id)
                .limit(1)
            )

        questions: dict[str, Callable[[Connection], Any]] = {
            "status": self._status,
            "progress": lambda connection: jobs.view(connection, self._job_id),
            "totals": progress.totals_by_operation,
            "next_due": due,
            "unfinished": lambda connection: connection.scalar(select(job_ledger.unfinished(self._job_id))),
        }
        return {name: self._median_ms(question) for name, question in questions.items()}

    def _status(self, connection: Connection) -> None:
        from workers.cli.status import describe  # noqa: PLC0415 - only for this

        describe(connection, self._job_id)

    def _median_ms(self, question: Callable[[Connection], Any]) -> float:
        times = []
        for _ in range(ASKED):
            with reading(self._engine) as connection:
                started = time.perf_counter()
                question(connection)
                times.append(time.perf_counter() - started)
        return round(1000 * statistics.median(times), 2)

    def _merge_input(self) -> dict[str, float]:
        """Read what one partition of the merge reads of the ledger: every shard's digest."""
        with reading(self._engine) as connection:
            started = time.perf_counter()
            number = sum(1 for _ in partial_counts.done_shards(connection, self._job_id))
            elapsed_s = time.perf_counter() - started
        return {"shards": number, "s": round(elapsed_s, 2)}

    def _job_list(self) -> float:
        def make(connection: Connection) -> None:
            row = dict(connection.execute(select(job_table)).mappings().first() or {})
            row.pop("id")
            connection.execute(insert(job_table), [{**row, "state": "DONE"}] * 999)
            ids = [job_id for job_id in jobs.list_ids(connection) if job_id != self._job_id]
            counted = {"kind": "map", "slot": 0, "done": 10, "bytes": 100, "documents_in": 100, "results": 100}
            connection.execute(insert(job_progress), [{"job_id": job_id, **counted} for job_id in ids])

        transact(self._engine, make)
        return self._median_ms(lambda connection: jobs.views(connection, jobs.list_ids(connection)))

    def _status_command(self) -> dict[str, float]:
        environment = {**os.environ, **{f"HANMILL_{name.upper()}": str(it) for name, it in self._settings.items()}}
        mill = str(Path(sys.executable).with_name("hanmill"))
        times = {}
        for name in ("status", "help"):
            command = [mill, "status", str(self._job_id)] if name == "status" else [mill, "--help"]
            seconds = [
                _elapsed(lambda: subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True))  # noqa: B023 - run at once
                for _ in range(ASKED)
            ]
            times[name] = round(statistics.median(seconds), 3)
        return times

    def _counters(self) -> dict[str, Any]:
        """Say whether the counters are right, and what counting the shards themselves would cost each time."""
        with reading(self._engine) as connection:
            started = time.perf_counter()
            faults = progress.differences(connection)
            elapsed_s = time.perf_counter() - started
        # The jobs made up for the list have counters and no shards.
        own = [fault for fault in faults if fault.startswith(f"job {self._job_id}:")]
        return {"faults": own, "counting_all_s": round(elapsed_s, 2)}

    def _bytes_per_row(self, table: str, rows: int) -> int:
        if self._engine.dialect.name != "postgresql":
            return 0
        with reading(self._engine) as connection:
            size = connection.scalar(text("SELECT pg_total_relation_size(:name)"), {"name": table}) or 0
        return round(size / rows)

    def _in_process(self, function: Callable[..., None], *arguments: Any, processes: int = 1) -> Sequence[Any]:
        context = multiprocessing.get_context("spawn")
        results = context.Queue()
        running = [
            context.Process(target=function, args=(self._settings, *arguments, results)) for _ in range(processes)
        ]
        for process in running:
            process.start()
        found = [results.get(timeout=LONGEST_S) for _ in running]
        for process in running:
            process.join()
        if any(one.wrong for one in found):
            message = "shards did not end well; the times of failures say nothing"
            raise RuntimeError(message)
        return found


def _elapsed(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
