"""Fixtures of the command line's tests: a home with results in it, and a runner."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from storage.sources import ListingOptions
from tests.support.inline_mill import InlineMill
from workers.cli.main import app

Invoke = Callable[..., Result]

#: The corpus of every test here: two documents of one key and one record that is none.
POEMS = [
    {"id": "静夜思", "text": "床前明月光，疑是地上霜。举头望明月，低头思故乡。"},
    {"id": "春晓", "text": "春眠不觉晓，处处闻啼鸟。夜来风雨声，花落知多少。"},
    {"id": "春晓", "text": "中国的春天来了，中国很美。"},
    {"id": "无题"},
]


@pytest.fixture
def invoke() -> Invoke:
    """Return a function that runs a command line and gives what it printed."""

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)

    return run


@pytest.fixture(scope="session")
def milled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home in which the poems are counted (job 1) and cut (job 2)."""
    base = tmp_path_factory.mktemp("milled")
    source = base / "poems.jsonl"
    source.write_text("".join(json.dumps(poem, ensure_ascii=False) + "\n" for poem in POEMS), encoding="utf-8")
    mill = InlineMill(base / "home")
    job_ids = mill.run([source], "poems", "count", "tokenize", listing=ListingOptions(key_field="id"))
    assert job_ids == [1, 2]
    mill.parts.engine.dispose()
    return base


@pytest.fixture
def poems(milled: Path, home: Path) -> Path:
    """Put the results into the home of the test; return the file that they are of."""
    shutil.copy(milled / "home" / "hanmill.db", home / "hanmill.db")
    return milled / "poems.jsonl"
