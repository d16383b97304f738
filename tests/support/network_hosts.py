"""Machines made of network namespaces: each with a network of its own, joined by a switch whose ports can be pulled.

The switch has a namespace too, so that nothing is seen of it on the machine itself, and the addresses can be the same
in every test process. Needs root and iproute2. Unix sockets ignore namespaces: the test itself reaches the servers by
these, cut off from nobody.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import redis
from sqlalchemy import create_engine

from tests.support.availability import REPOSITORY
from tests.support.deployment import stop
from tests.support.postgres import fresh_database, running_postgres
from tests.support.processes import wait_until

#: The network that the hosts share; it exists in their namespaces alone.
NETWORK = "10.83.0"


def missing() -> str | None:
    """Return what is lacking for hosts of namespaces, None when all is there."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for program in ("ip", "setpriv"):
        if shutil.which(program) is None:
            return f"network namespaces need the program {program} (packages iproute2 and util-linux)"
    name = _unique("try")
    if subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode:
        return "this kernel or container lets nobody make network namespaces"
    _ip("netns", "delete", name)
    return None


def _unique(name: str) -> str:
    return f"hanmill-{os.getpid()}-{secrets.token_hex(3)}-{name}"


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


@dataclass(frozen=True)
class Host:
    """One machine; its cable ends in the switch."""

    name: str
    namespace: str
    address: str
    switch: str

    def command(self, *command: str) -> list[str]:
        """Return the command line that runs a command on this machine."""
        return ["ip", "netns", "exec", self.namespace, *command]

    def pull(self) -> None:
        """Pull the cable: what is sent from here or to here vanishes, and nobody is told."""
        _ip("-n", self.switch, "link", "set", self.name, "down")

    def plug(self) -> None:
        """Put the cable back."""
        _ip("-n", self.switch, "link", "set", self.name, "up")


@contextmanager
def hosts(names: Sequence[str]) -> Iterator[dict[str, Host]]:
    """Have some machines on one network for the time of the context; names of at most 15 letters."""
    with ExitStack() as stack:
        switch = _add_namespace(stack, _unique("switch"))
        _ip("-n", switch, "link", "add", "bridge0", "type", "bridge")
        _ip("-n", switch, "link", "set", "bridge0", "up")
        made = {}
        for number, name in enumerate(names, start=1):
            host = Host(name, _add_namespace(stack, _unique(name)), f"{NETWORK}.{number}", switch)
            _ip("-n", switch, "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", host.namespace)
            _ip("-n", switch, "link", "set", name, "master", "bridge0", "up")
            _ip("-n", host.namespace, "address", "add", f"{host.address}/24", "dev", "eth0")
            _ip("-n", host.namespace, "link", "set", "eth0", "up")
            made[name] = host
        yield made


def _add_namespace(stack: ExitStack, name: str) -> str:
    _ip("netns", "add", name)
    # Its end of a cable, and with it the other end, goes with the namespace.
    stack.callback(_ip, "netns", "delete", name)
    _ip("-n", name, "link", "set", "lo", "up")
    return name


@dataclass(frozen=True)
class Servers:
    """The addresses of a database and a broker: by the network, and for the test itself past it."""

    database_url: str
    broker_url: str
    local_database_url: str
    local_broker_url: str


@contextmanager
def servers(host: Host, redis_binary: str) -> Iterator[Servers]:
    """Have PostgreSQL and Redis on a machine, each with a password and listening on its address alone."""
    with ExitStack() as stack:
        server_url = stack.enter_context(running_postgres())
        _listen(stack, host, server_url)
        local_url = stack.enter_context(fresh_database(server_url))
        database, password = local_url.partition("?")[0].rpartition("/")[2], secrets.token_urlsafe(12)
        _execute(
            server_url, f"CREATE ROLE mill LOGIN PASSWORD '{password}'", f"ALTER DATABASE {database} OWNER TO mill"
        )
        local_redis, redis_password = stack.enter_context(_redis(host, redis_binary))
        yield Servers(
            f"postgresql://mill:{password}@{host.address}:5432/{database}",
            f"redis://:{redis_password}@{host.address}:6379/0",
            local_url,
            local_redis,
        )


def _listen(stack: ExitStack, host: Host, server_url: str) -> None:
    """Start a PostgreSQL again on another machine, under the same unix socket."""
    directory, sockets = (
        _execute(server_url, f"SHOW {name}") for name in ("data_directory", "unix_socket_directories")
    )
    owner, postmaster = Path(directory).stat(), Path(directory, "postmaster.pid").read_text(encoding="utf-8")
    with Path(directory, "pg_hba.conf").open("a", encoding="utf-8") as rules:
        rules.write(f"\nhost all mill {NETWORK}.0/24 scram-sha-256\n")
    control = Path(f"/proc/{postmaster.split()[0]}/exe").resolve().with_name("pg_ctl")
    as_owner = ["setpriv", f"--reuid={owner.st_uid}", f"--regid={owner.st_gid}", "--clear-groups"]
    run = partial(
        subprocess.run,
        check=True,
        stdin=subprocess.DEVNULL,
        # A pipe would be inherited by the server and never end.
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=directory,
    )
    pg_ctl = [*as_owner, str(control), "-D", directory, "-w", "-l", f"{directory}/log"]
    run([*pg_ctl, "-m", "fast", "stop"])
    run(host.command(*pg_ctl, "-o", f"-h {host.address} -k {sockets}", "start"))
    stack.callback(run, [*pg_ctl, "-m", "immediate", "stop"])


def _execute(url: str, *statements: str) -> str:
    """Run statements and return the first value of the last one, if it gives any."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1), isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            results = [connection.exec_driver_sql(statement) for statement in statements]
            return str(results[-1].scalar()) if results[-1].returns_rows else ""
    finally:
        engine.dispose()


@contextmanager
def _redis(host: Host, binary: str) -> Iterator[tuple[str, str]]:
    """Start a Redis on a machine; yield its address by unix socket, as Celery writes it, and its password."""
    password = secrets.token_urlsafe(12)
    with tempfile.TemporaryDirectory(prefix="hm-redis-") as directory:
        path = Path(directory) / "redis.sock"
        options = {"bind": host.address, "port": "6379", "unixsocket": str(path), "requirepass": password}
        options |= {"save": "", "appendonly": "no", "dir": directory, "logfile": f"{directory}/log"}
        command = host.command(binary, *(word for name, value in options.items() for word in (f"--{name}", value)))
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            with redis.Redis(unix_socket_path=str(path), password=password) as client:
                wait_until(partial(_answers, client), "Redis answers")
            yield f"redis+socket://:{password}@{path}?virtual_host=0", password
        finally:
            process.kill()
            process.wait()


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


@contextmanager
def worker_on(host: Host, environment: Mapping[str, str], home: Path, concurrency: int) -> Iterator[Path]:
    """Have a worker on a machine, with a home of its own and the machine's name; yield its log."""
    home.mkdir()
    log = home / "worker.log"
    command = [sys.executable, "-m", "workers.cli.main", "worker", "cpu", "--name", host.name, "-c", str(concurrency)]
    with log.open("wb") as stream:
        worker = subprocess.Popen(
            host.command(*command),
            stdout=stream,
            stderr=stream,
            env={**os.environ, **environment, "HANMILL_HOME": str(home)},
            cwd=REPOSITORY,
        )
    try:
        yield log
    finally:
        stop(worker)
