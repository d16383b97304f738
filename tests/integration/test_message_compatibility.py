"""Messages of an earlier and of a later version of the program are understood; those of neither do no harm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from storage.redis_keys import QUEUE_CONTROL
from tests.support.deployment import Deployment, assert_adds_up
from tests.support.reference import serial_counts
from workers.celery_app import build_app
from workers.celery_tasks import CeleryPublisher

#: The name and the header that an installed earlier version sends, written out: they outlive every version.
RUN_SHARD = "hanmill.run_shard"
SHARD_HEADER = "shard"


class OtherPublisher(CeleryPublisher):
    """Publishes as another version does: with nothing but the two ids, or with more."""

    def __init__(self, app: Any, more: dict[str, Any]) -> None:
        super().__init__(app)
        self._more = more

    def publish_shards(self, queue: str, shard_ids: Sequence[int], job_id: int) -> None:
        for shard_id in shard_ids:
            self._app.send_task(
                RUN_SHARD,
                kwargs={"shard": shard_id, "job": job_id, **self._more},
                headers={SHARD_HEADER: shard_id},
                queue=queue,
                ignore_result=True,
            )


@pytest.mark.parametrize("more", [{}, {"tenant": "甲", "trace": [1, 2]}], ids=["earlier", "later"])
def test_shards_of_another_version_s_messages_are_run_once(
    deployment: Deployment, tmp_path: Any, more: dict[str, Any]
) -> None:
    texts = ["明月几时有", "把酒问青天", "不知天上宫阙"]
    for number, text in enumerate(texts):
        (tmp_path / f"{number}.txt").write_text(text, encoding="utf-8")
    files = sorted(tmp_path.glob("*.txt"))
    app = build_app(deployment.settings)
    deployment.publisher = OtherPublisher(app, more)
    submitted = deployment.submit(files, shard_bytes=10)
    app.send_task("hanmill.of_a_later_version", kwargs={"x": 1}, queue=QUEUE_CONTROL, ignore_result=True)
    app.send_task("hanmill.reconcile", kwargs=more, queue=QUEUE_CONTROL, ignore_result=True)
    with deployment.workers(1) as worker:
        (view,) = deployment.wait(submitted)
        assert worker.poll() is None
    assert view["state"] == "DONE"
    assert_adds_up(view)
    assert deployment.counts() == serial_counts(texts)
    log = (deployment.settings.home / "worker-test.log").read_text(encoding="utf-8")
    assert "TypeError" not in log
    app.close()


def test_the_names_and_headers_in_messages_are_those_of_every_version() -> None:
    from storage import redis_keys  # noqa: PLC0415 - compared with what is written out above
    from workers import task_names  # noqa: PLC0415

    assert task_names.RUN_SHARD == RUN_SHARD
    assert redis_keys.SHARD_HEADER == SHARD_HEADER
    queues = (redis_keys.QUEUE_CPU, redis_keys.QUEUE_GPU, redis_keys.QUEUE_CONTROL)
    assert queues == ("hanmill.cpu", "hanmill.gpu", "hanmill.control")
