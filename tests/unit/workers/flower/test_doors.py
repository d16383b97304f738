"""What Flower shows and keeps, after our doors are closed: no password of an address, no text of a document."""

from __future__ import annotations

import pytest

from tests.support.availability import need_module

need_module("flower")

from workers.flower.columns import COLUMNS, name_columns
from workers.flower.doors import ingest_arguments, masked_values


def test_addresses_are_masked_wherever_they_stand() -> None:
    answer = {"broker": {"hostname": "redis+socket://:geheim@/run/r.sock", "port": 1}, "all": ["amqp://u:pw@h//", 3]}
    assert masked_values(answer) == {
        "broker": {"hostname": "redis+socket://:***@/run/r.sock", "port": 1},
        "all": ["amqp://u:***@h//", 3],
    }


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"args": "()", "kwargs": "{'corpus': 'news', 'documents': [{'text': '机密'}]}"}, "{'corpus': 'news'}"),
        ({"args": "['news', [{'text': '机密'}]]", "kwargs": "{}"}, "{}"),
        ({"args": "('新闻', [{'text': '机密', 'corpus': 'x'}], ...)", "kwargs": "{}"}, "{'corpus': '新闻'}"),
        ({}, "{}"),
    ],
)
def test_of_documents_that_came_by_a_message_only_the_corpus_is_shown(event: dict[str, str], expected: str) -> None:
    assert ingest_arguments(event) == expected


def test_every_column_is_one_that_flower_has() -> None:
    from flower.views.tasks import TASK_COLUMNS  # noqa: PLC0415 - skipped where there is none

    known = set(TASK_COLUMNS)
    assert name_columns().split(",") == list(COLUMNS)
    assert set(TASK_COLUMNS) == known
