"""The embedded Redis without a server: where its socket lies, and when it counts as answering."""

from __future__ import annotations

import socket
import tempfile
import threading
from pathlib import Path

import pytest

from storage.errors import HanmillError
from workers.embedded import redis_server
from workers.embedded.redis_server import EmbeddedRedis, answers, make_socket_directory
from workers.embedded.run_file import RunFile


def test_the_socket_lies_in_a_private_directory(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(home))
    directory = make_socket_directory()
    assert directory.parent == home
    assert directory.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ["long" * 25, "with space", "临时"])
def test_a_temporary_directory_that_no_socket_address_can_name_is_avoided(
    name: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / name).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(home / name))
    directory = make_socket_directory()
    assert directory.parent == Path("/tmp")
    assert list((home / name).iterdir()) == []
    directory.rmdir()


def test_no_socket_is_no_answer(tmp_path: Path) -> None:
    assert not answers(tmp_path / "redis.sock")


@pytest.mark.parametrize(("reply", "expected"), [(b"+PONG\r\n", True), (b"-LOADING wait\r\n", False), (b"", False)])
def test_only_a_pong_is_an_answer(home: Path, reply: bytes, expected: bool) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(home / "redis.sock"))
        listener.listen()
        server = threading.Thread(target=reply_once, args=(listener, reply))
        server.start()
        assert answers(home / "redis.sock") is expected
        server.join()


def reply_once(listener: socket.socket, reply: bytes) -> None:
    """Answer one request with these bytes."""
    connection, _ = listener.accept()
    with connection:
        connection.recv(64)
        connection.sendall(reply)


def test_a_server_that_ends_at_once_is_an_error_with_its_last_words(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "server"
    program.write_text("#!/bin/sh\necho 'cannot open the socket' >&2\nexit 3\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setattr(redis_server, "find_server", lambda: program)
    with pytest.raises(HanmillError, match=r"(?s)Redis ended at its start \(exit status 3\).*cannot open the socket"):
        EmbeddedRedis.start(home, RunFile(home))


def test_a_server_that_never_answers_is_given_up_and_ended(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "server"
    program.write_text("#!/bin/sh\nexec sleep 600\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setattr(redis_server, "find_server", lambda: program)
    monkeypatch.setattr(redis_server, "START_TIMEOUT_S", 0.0)
    run_file = RunFile(home)
    with pytest.raises(HanmillError, match="Redis does not answer after"):
        EmbeddedRedis.start(home, run_file)
    assert run_file.end_leftovers() == []
