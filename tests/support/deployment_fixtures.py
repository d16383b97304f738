"""Fixtures of a whole deployment, for tests that let real workers run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pytest

from tests.support.availability import REPOSITORY
from tests.support.deployment import Deployment, wait_for
from tests.support.reference import texts_of

#: Documents of each text set in `sample_texts`.
SAMPLE_DOCUMENTS = 60


@pytest.fixture(scope="session")
def sample_texts(test_data: Path | None) -> list[str]:
    """Return some real documents: news and articles full of Latin script, or what the repository carries."""
    if test_data is None:
        corpus = REPOSITORY / "tests" / "samples" / "corpus"
        files = [corpus / "chapters.jsonl", corpus / "abstracts.jsonl.gz"]
    else:
        files = [test_data / name / "dev.jsonl.gz" for name in ("news_xwlb", "tech_lctt")]
    return [text for path in files for text in islice(texts_of(path), SAMPLE_DOCUMENTS)]


@pytest.fixture
def deployment(home: Path, database_url: str, redis_url: str) -> Iterator[Deployment]:
    """Return a deployment on each kind of database in turn, without a worker yet."""
    made = Deployment(home, database_url, redis_url)
    yield made
    made.parts.engine.dispose()


@pytest.fixture
def until() -> Callable[[Callable[[], bool], str], None]:
    """Return a function that waits for a condition, for three minutes at most."""

    def wait(condition: Callable[[], bool], what: str) -> None:
        wait_for(condition, 180.0, lambda: what)

    return wait
