"""Every contender counts what it says it counts, and a text with line ends is no trouble to any."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.reference import serial_counts
from workers.bench.contenders import CONTENDERS, digest_of, merge_into

TEXTS = [
    "中文分词的结果必须与参考实现完全一致。",
    "第一行\n第二行，3.14%的T恤\n",
    "",
    "小明硕士毕业于中国科学院计算所，写了a_b-c",
    *(f"第{number}篇文档" for number in range(1200)),
]


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts"
    path.write_text("".join(json.dumps(text) + "\n" for text in TEXTS), encoding="utf-8")
    return path


def measured(name: str, texts: Path) -> dict[str, Any]:
    # As it is run: `enable_parallel` and a pool change the process that they run in.
    command = [sys.executable, "-m", "workers.bench.contenders", name, str(texts), "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("name", [name for name in CONTENDERS if name != "rjieba"])
def test_a_contender_counts_as_the_serial_loop_does(name: str, texts: Path) -> None:
    expected = {word: count for word, (count, _) in serial_counts(TEXTS).items()}
    found = measured(name, texts)
    assert (found["words"], found["tokens"]) == (len(expected), sum(expected.values()))
    assert found["digest"] == digest_of(expected)


def test_rjieba_as_it_is_counts_something_else(texts: Path) -> None:
    assert measured("rjieba", texts)["digest"] != measured("loop", texts)["digest"]


def test_a_digest_names_counts_in_any_order() -> None:
    assert digest_of({"甲": 1, "乙": 2}) == digest_of({"乙": 2, "甲": 1}) != digest_of({"甲": 2, "乙": 1})


def test_small_counts_are_added_to_large_ones() -> None:
    total = {"甲": 1}
    merge_into(total, {"甲": 2, "乙": 3})
    assert total == {"甲": 3, "乙": 3}
