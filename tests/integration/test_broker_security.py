"""The queue with a password, the least rights and TLS: so the mill works, and not with a stranger's certificate."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import redis

from storage.redis_keys import QUEUE_CONTROL, QUEUE_CPU, REFUSED
from storage.refused_messages import RefusedMessages
from tests.support.deployment import Deployment, assert_adds_up
from tests.support.guarded_redis import GuardedRedis
from tests.support.reference import serial_counts
from tests.support.tls_proxy import make_certificate
from tests.support.tls_redis import guarded_by_tls
from workers.doctor.broker import broker_fault
from workers.doctor.checks import State
from workers.doctor.examination import consumed_queues, examine
from workers.exporter.sources import RedisSource
from workers.settings import Settings

TEXTS = ["明月几时有", "把酒问青天", "不知天上宫阙"]


def trusting(url: str, certificate: Path) -> str:
    """Return an address by which the server must show a certificate."""
    return f"{url}?{urlencode({'ssl_cert_reqs': 'required', 'ssl_ca_certs': certificate})}"


def test_the_mill_works_with_a_password_least_rights_and_tls(
    guarded: GuardedRedis,
    home: Path,
    sqlite_url: str,
    tmp_path: Path,
    until: Callable[[Callable[[], bool], str], None],
) -> None:
    password = secrets.token_hex(8)
    (tmp_path / "in").mkdir()
    for number, text in enumerate(TEXTS):
        (tmp_path / "in" / f"{number}.txt").write_text(text, encoding="utf-8")
    with guarded_by_tls(guarded, password, tmp_path) as (url, certificate):
        deployment = Deployment(home, sqlite_url, trusting(url, certificate))
        settings = deployment.settings
        with deployment.workers(1) as worker:
            (view,) = deployment.wait(deployment.submit([tmp_path / "in"], shard_bytes=10))
            assert consumed_queues(settings) >= {QUEUE_CPU, QUEUE_CONTROL}
            state = RedisSource(settings.broker_url).read()
            assert state.workers[QUEUE_CPU] == 1
            app = deployment.publisher._app
            app.send_task("of.nobody", queue=QUEUE_CONTROL, ignore_result=True)
            refused = RefusedMessages(settings.broker_url)
            until(lambda: bool(refused.newest_first()), "a message is refused")
            refused.close()
            assert worker.poll() is None
        findings = {finding.name: finding for finding in examine(settings)}
        deployment.parts.engine.dispose()
    assert view["state"] == "DONE"
    assert_adds_up(view)
    assert deployment.counts() == serial_counts(TEXTS)
    assert findings["broker"].state is State.OK
    assert findings["messages"].state is State.WARN
    assert REFUSED in findings["messages"].remedy
    said = (home / "worker-test.log").read_text(encoding="utf-8") + repr(findings)
    assert password not in said
    assert "NOPERM" not in said, "a right is missing"


def test_a_server_whose_certificate_nobody_vouches_for_is_not_spoken_to(
    guarded: GuardedRedis, home: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    stranger, _ = make_certificate(other)
    password = secrets.token_hex(8)
    with guarded_by_tls(guarded, password, tmp_path) as (url, certificate):
        trusted = Settings(home=home, broker_url=trusting(url, certificate))
        assert broker_fault(trusted) is None
        # Without a word about certificates they are verified, too.
        for address in (url, trusting(url, stranger)):
            fault = broker_fault(Settings(home=home, broker_url=address))
            assert fault is not None
            assert "certificate" in fault.lower()
            assert password not in fault
        wrong = broker_fault(Settings(home=home, broker_url=trusting(url.replace(password, "guess"), certificate)))
        assert wrong is not None
        assert "guess" not in wrong


def test_the_user_of_the_queue_may_do_what_a_queue_needs_and_nothing_else(
    guarded: GuardedRedis, until: Callable[[Callable[[], bool], str], None]
) -> None:
    guarded.start("first")
    until(lambda: guarded.answers("first"), "Redis answers")
    client: Any = guarded.client("first")
    assert client.lpush("hanmill.cpu", b"1") == 1
    forbidden: list[Callable[[], object]] = [
        lambda: client.set("somebody.else", 1),
        lambda: client.get("somebody.else"),
        lambda: client.eval("return redis.call('get', 'somebody.else')", 0),
        lambda: client.execute_command("SORT", "hanmill.cpu"),
        lambda: client.execute_command("MIGRATE", "127.0.0.1", "1", "hanmill.cpu", "0", "1"),
        lambda: client.slaveof("127.0.0.1", 1),
        lambda: client.execute_command("MODULE", "LIST"),
        lambda: client.config_set("dir", "/tmp"),
        client.bgsave,
        client.client_list,
        lambda: client.execute_command("MONITOR"),
        lambda: client.execute_command("DEBUG", "SLEEP", "0"),
    ]
    for call in forbidden:
        with pytest.raises((redis.exceptions.NoPermissionError, redis.exceptions.ResponseError)):
            call()
