"""What a test does when a server or a file that it needs is not there: skip on a laptop, fail where all must run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def give_up(reason: str) -> NoReturn:
    """Skip the test with a reason, or fail it when HANMILL_TEST_REQUIRE_ALL is 1."""
    if os.environ.get("HANMILL_TEST_REQUIRE_ALL") == "1":
        pytest.fail(f"{reason}, and HANMILL_TEST_REQUIRE_ALL=1 wants every test to run", pytrace=False)
    pytest.skip(reason)


def find_test_data() -> Path | None:
    """Return the directory of the large test texts, None where there is none and the samples must do."""
    named = os.environ.get("HANMILL_TEST_DATA")
    directory = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    return directory if directory.is_dir() else None
