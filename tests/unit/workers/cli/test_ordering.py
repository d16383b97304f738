from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from storage.errors import UsageError
from storage.sources import ListingOptions
from workers import cores
from workers.cli import ordering
from workers.cli.options import InputFormat, KeywordMethod, Layout, Length, Mode, Repeats
from workers.settings import Settings

GIVEN: dict[str, Any] = {
    "inputs": ["a.txt"],
    "corpus": "news",
    "do": "count, tokenize",
    "hmm": False,
    "mode": Mode.FULL,
    "user_dict": None,
    "stopwords": "stop.txt",
    "min_length": 2,
    "pattern": None,
    "models": ["mine"],
    "backend": None,
    "length": Length.SHORT,
    "max_chars": 80,
    "endpoint": None,
    "chat_template_kwargs": "{}",
    "beams": 4,
    "faithful": True,
    "method": KeywordMethod.TEXTRANK,
    "top_keywords": 7,
    "idf": "jieba",
    "refresh_idf": False,
    "max_length": 5,
    "min_count": None,
    "min_pmi": 2.0,
    "min_entropy": 1.5,
    "similarity": 0.9,
    "skip_duplicates": Repeats.EXACT,
    "text_field": "body",
    "key_field": "id",
    "date_field": "published",
    "lines": False,
    "layout": Layout.THUCNEWS,
    "input_format": InputFormat.TXT,
    "encoding": "gb18030",
    "shard_bytes": 1024,
    "priority": 3,
    "output": "ignored",
}


def test_the_options_become_an_order_of_plain_values() -> None:
    settings = Settings(max_record_bytes=99, input_roots=("/data",))
    order = ordering.make_order(GIVEN, settings)
    assert (order.corpus, order.inputs, order.operations) == ("news", ["a.txt"], ["count", "tokenize"])
    assert (order.shard_bytes, order.priority) == (1024, 3)
    assert order.options == {
        "mode": "full",
        "hmm": False,
        "user_dict": None,
        "stopwords": "stop.txt",
        "min_length": 2,
        "pattern": None,
        "models": ["mine"],
        "backend": None,
        "length": "short",
        "max_chars": 80,
        "endpoint": None,
        "chat_template_kwargs": "{}",
        "beams": 4,
        "faithful": True,
        "method": "textrank",
        "top_keywords": 7,
        "idf": "jieba",
        "refresh_idf": False,
        "max_length": 5,
        "min_count": None,
        "min_pmi": 2.0,
        "min_entropy": 1.5,
        "similarity": 0.9,
        "skip_duplicates": "exact",
    }
    assert type(order.options["mode"]) is type(order.options["skip_duplicates"]) is str
    assert order.listing == ListingOptions(
        layout="thucnews",
        input_format="txt",
        encoding="gb18030",
        text_field="body",
        key_field="id",
        date_field="published",
        max_record_bytes=99,
        input_roots=("/data",),
    )


def test_an_order_for_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="--do names no operation"):
        ordering.make_order({**GIVEN, "do": " , "}, Settings())


@pytest.mark.parametrize(
    ("share", "expected"), [("150000 100000", 1), ("max 100000", 8), ("50000 100000", 1), (None, 8)]
)
def test_the_cores_are_those_of_the_container(
    share: str | None, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = tmp_path / "cpu.max"
    if share is not None:
        limit.write_text(share, encoding="ascii")
    monkeypatch.setattr(cores, "CGROUP_CPU_MAX", limit)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert cores.available_cores() == expected
