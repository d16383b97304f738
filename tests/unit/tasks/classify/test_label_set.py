from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.classify.label_set import Label, LabelSet, LabelSetError, label_set_of

#: 理学 has 数学 and 物理学 below it, and 数学 has 数论.
TREE = LabelSet("学科", "1", (Label("数论", 1), Label("数学", 3), Label("物理学", 3), Label("理学"), Label("文学")))


@given(st.lists(st.floats(-20, 20, width=32), min_size=5, max_size=5))
def test_a_parent_has_at_least_the_score_of_each_label_below_it(scores: list[float]) -> None:
    before = np.array(scores, dtype=np.float32)
    closed = TREE.close(before)
    for position, label in enumerate(TREE.labels):
        if label.parent is not None:
            assert closed[label.parent] >= closed[position]
    assert (closed >= before).all()
    assert np.array_equal(TREE.close(closed), closed)
    assert closed[4] == before[4]
    assert closed[3] == before[:4].max()


def test_what_has_a_label_has_those_above_it() -> None:
    assert TREE.targets([["数论"], ["文学", "没有的"], []]).tolist() == [[1, 1, 0, 1, 0], [0, 0, 0, 0, 1], [0] * 5]


def test_a_set_comes_back_from_its_file() -> None:
    assert LabelSet.from_json(json.loads(TREE.to_json())) == TREE


def test_the_labels_of_texts_are_a_set_in_order_of_names() -> None:
    assert label_set_of("甲", "1", [["丙", "乙"], [], ["丙"]]).names == ("丙", "乙")


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ((), "no label"),
        ((Label("甲"), Label("甲")), "twice"),
        ((Label("甲", 1), Label("乙", 0)), "no root"),
        ((Label("甲", 0),), "no root"),
        ((Label("甲", 7),), "no root"),
    ],
)
def test_labels_that_make_no_set_are_refused(labels: tuple[Label, ...], reason: str) -> None:
    with pytest.raises(LabelSetError, match=reason):
        LabelSet("集", "1", labels)


@pytest.mark.parametrize(
    "value", [None, {}, {"name": "集", "version": "1", "labels": [{"name": "甲", "parent": "乙"}]}]
)
def test_a_file_that_holds_no_set_is_refused(value: object) -> None:
    with pytest.raises(LabelSetError):
        LabelSet.from_json(value)
