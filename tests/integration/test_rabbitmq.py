"""The queue may be RabbitMQ: the ledger decides everything, so a job over it is as exact."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.availability import give_up
from tests.support.deployment import Deployment, assert_adds_up
from tests.support.rabbitmq_server import is_installed, running_rabbitmq
from tests.support.reference import serial_counts


@pytest.fixture
def rabbitmq_url() -> Iterator[str]:
    """Return the address of a RabbitMQ of the test's own."""
    if not is_installed():
        give_up("RabbitMQ is not installed (Debian's package rabbitmq-server)")
    with running_rabbitmq() as url:
        yield url


def test_a_job_over_rabbitmq_is_exact(
    home: Path, sqlite_url: str, rabbitmq_url: str, tmp_path: Path, sample_texts: list[str]
) -> None:
    deployment = Deployment(home, sqlite_url, rabbitmq_url)
    path = tmp_path / "corpus.jsonl"
    path.write_text("".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in sample_texts))
    with deployment.workers(2):
        (view,) = deployment.wait(deployment.submit([path], shard_bytes=8_000))
    assert view["state"] == "DONE"
    assert_adds_up(view)
    assert deployment.counts() == serial_counts(sample_texts)
