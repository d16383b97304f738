"""Label sets on both databases: written once, found again by their content."""

from __future__ import annotations

from functools import partial

import pytest
from sqlalchemy import Engine

from storage.engine import count_rows
from storage.errors import UsageError
from storage.label_sets import Label, label_ids, labels_of, register
from storage.schema import label_sets, labels
from tests.support.builders import at_once, call

SCIENCE = [Label("理学"), Label("数学", 0), Label("物理学", 0)]


def test_a_label_set_comes_back_in_its_order_with_its_parents(engine: Engine) -> None:
    label_set_id = call(engine, register, "学科", "1", SCIENCE)
    assert call(engine, labels_of, label_set_id) == SCIENCE
    assert len(set(call(engine, label_ids, label_set_id))) == 3


def test_the_same_set_is_one_set_however_often_it_is_registered(engine: Engine) -> None:
    ids = at_once([partial(call, engine, register, "学科", "1", SCIENCE)] * 4)
    assert len(set(ids)) == 1
    assert (call(engine, count_rows, label_sets), call(engine, count_rows, labels)) == (1, 3)


@pytest.mark.parametrize(
    "other",
    [
        ("学科", "2", SCIENCE),
        ("别的", "1", SCIENCE),
        ("学科", "1", SCIENCE[:2]),
        ("学科", "1", [SCIENCE[0], SCIENCE[2], SCIENCE[1]]),
        ("学科", "1", [Label("理学"), Label("数学", 0), Label("物理学")]),
    ],
)
def test_another_set_leaves_the_first_as_it_is(other: tuple[str, str, list[Label]], engine: Engine) -> None:
    first = call(engine, register, "学科", "1", SCIENCE)
    second = call(engine, register, *other)
    assert second != first
    assert call(engine, labels_of, first) == SCIENCE
    assert call(engine, labels_of, second) == other[2]
    assert not set(call(engine, label_ids, first)) & set(call(engine, label_ids, second))


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ([], "has no label"),
        ([Label("数学"), Label("数学")], "stands in it twice"),
        ([Label("")], "not a name of 1 to 200"),
        ([Label("数" * 201)], "not a name of 1 to 200"),
        ([Label("数\x00学")], "not a name of 1 to 200"),
        ([Label("数学", 0)], "lead to no root"),
        ([Label("数学", 1), Label("理学", 0)], "lead to no root"),
        ([Label("数学", 7)], "lead to no root"),
        ([Label("数学", -1)], "lead to no root"),
    ],
)
def test_a_set_without_a_meaning_is_refused(given: list[Label], reason: str, engine: Engine) -> None:
    with pytest.raises(UsageError, match=reason):
        call(engine, register, "学科", "1", given)
    assert call(engine, count_rows, label_sets) == 0
