"""A real RabbitMQ of the test's own: its node, its port mapper, its directory, all on loopback, all ended by id."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Debian's script of the server itself; the one on the PATH would change to another user.
SCRIPT = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
#: Seconds that the Erlang machine may take to start.
START_S = 180.0


def is_installed() -> bool:
    """Say whether RabbitMQ can be started here."""
    return SCRIPT.exists() and shutil.which("epmd") is not None


@contextmanager
def running_rabbitmq() -> Iterator[str]:
    """Have a RabbitMQ run for the time of the context; yield its address."""
    folder = Path(tempfile.mkdtemp(prefix="hm-rabbit-"))
    port, distribution_port, mapper_port = _free_ports(3)
    environment = {
        **os.environ,
        "HOME": str(folder),
        "ERL_EPMD_PORT": str(mapper_port),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": "hanmill@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(distribution_port),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_CONFIG_FILE": str(folder / "none"),
    }
    (folder / "plugins").write_text("[].\n")
    mapper = subprocess.Popen(["epmd", "-port", str(mapper_port), "-address", "127.0.0.1"], env=environment)
    with (folder / "out.log").open("wb") as log:
        server = subprocess.Popen([str(SCRIPT)], env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait_for_port(port, server, folder / "out.log")
        yield f"amqp://guest:guest@127.0.0.1:{port}//"
    finally:
        _end_group(server)
        mapper.kill()
        mapper.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _free_ports(count: int) -> list[int]:
    holders = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [holder.getsockname()[1] for holder in holders]
    for holder in holders:
        holder.close()
    return ports


def _wait_for_port(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    pause = time.sleep
    while not _answers(port):
        text = log.read_text(errors="replace")[-2000:]
        assert server.poll() is None, f"RabbitMQ ended with {server.returncode}: {text}"
        assert time.monotonic() < deadline, f"RabbitMQ did not start in {START_S} s: {text}"
        pause(0.1)


def _answers(port: int) -> bool:
    """Say whether the server speaks AMQP yet: it takes connections a moment before it can serve them."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return connection.recv(1) == b"\x01"
    except OSError:
        return False


def _end_group(server: subprocess.Popen[bytes]) -> None:
    # The script starts the Erlang machine as its child: both are of the session that was made for them.
    if server.poll() is None:
        os.killpg(server.pid, 15)
        try:
            server.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, 9)
            server.wait()
