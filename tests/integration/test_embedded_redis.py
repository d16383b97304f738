"""The embedded Redis with a real server: it answers, keeps nothing, is private, and comes back."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from storage.errors import HanmillError
from tests.support.processes import is_alive, wait_until
from workers.embedded import EmbeddedRedis, RunFile
from workers.embedded import child as child_module


@pytest.fixture
def server(home: Path) -> Iterator[EmbeddedRedis]:
    """Return a running server whose home has a space and ideographs in its path."""
    home = home / "我的 家"
    with RunFile(home) as run_file, EmbeddedRedis.start(home, run_file) as running:
        yield running


@pytest.fixture
def client(server: EmbeddedRedis) -> Iterator[Redis]:
    """Return a client that opens a connection for each command."""
    with Redis(unix_socket_path=str(server.socket_path), max_connections=1) as connected:
        yield connected


def kill(server: EmbeddedRedis) -> None:
    """Kill the server and wait until its parent could notice."""
    os.kill(server.pid, signal.SIGKILL)
    wait_until(lambda: not server.is_running(), "the server's end")


def setting(client: Redis, name: str) -> str:
    """Return a setting of the server."""
    values = client.config_get(name)
    assert isinstance(values, dict)
    return str(values[name])


def test_the_server_answers_at_the_address_it_states(server: EmbeddedRedis, client: Redis) -> None:
    assert client.ping()
    assert server.url == f"redis+socket://{server.socket_path}"
    assert is_alive(server.pid)


def test_the_server_keeps_nothing_on_disk_evicts_nothing_and_has_no_port(client: Redis) -> None:
    names = ("save", "appendonly", "maxmemory-policy", "port")
    assert [setting(client, name) for name in names] == ["", "no", "noeviction", "0"]


def test_nobody_else_can_reach_the_socket(server: EmbeddedRedis) -> None:
    assert server.socket_path.parent.stat().st_mode & 0o777 == 0o700
    assert server.socket_path.stat().st_mode & 0o077 == 0


def test_the_path_of_the_socket_is_short_enough_for_every_system(server: EmbeddedRedis) -> None:
    assert len(os.fsencode(server.socket_path)) < 100


def test_a_living_server_is_left_alone(server: EmbeddedRedis) -> None:
    pid = server.pid
    assert not server.tend()
    assert server.pid == pid


def test_a_killed_server_comes_back_empty_at_the_same_address(server: EmbeddedRedis, client: Redis) -> None:
    client.set("key", "value")
    url, pid = server.url, server.pid
    kill(server)
    assert server.tend()
    assert (server.url, client.dbsize()) == (url, 0)
    assert server.pid != pid


def test_a_server_comes_back_even_when_its_directory_was_swept_away(server: EmbeddedRedis, client: Redis) -> None:
    kill(server)
    server.socket_path.unlink()
    server.socket_path.parent.rmdir()
    assert server.tend()
    assert client.ping()


def test_a_living_server_can_be_restarted(server: EmbeddedRedis, client: Redis) -> None:
    pid = server.pid
    server.restart()
    assert client.ping()
    assert not is_alive(pid)


def test_a_server_that_keeps_dying_is_an_error(server: EmbeddedRedis) -> None:
    for _ in range(child_module.MAX_DEATHS):
        kill(server)
        assert server.tend()
    kill(server)
    with pytest.raises(
        HanmillError, match=r"(?s)Redis died 6 times within 60 s \(Killed\).*ready to accept connections"
    ):
        server.tend()


def test_after_the_run_there_is_no_server_and_no_directory(home: Path) -> None:
    with RunFile(home) as run_file:
        with EmbeddedRedis.start(home, run_file) as server:
            assert server.is_running()
        assert not is_alive(server.pid)
        assert not server.socket_path.parent.exists()
