"""What a test does when a server or a file that it needs is not there: skip on a laptop, fail where all must run."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def give_up(reason: str) -> NoReturn:
    """Skip the test, or all of the module that asks, with a reason; or fail it when HANMILL_TEST_REQUIRE_ALL is 1."""
    if os.environ.get("HANMILL_TEST_REQUIRE_ALL") == "1":
        pytest.fail(f"{reason}, and HANMILL_TEST_REQUIRE_ALL=1 wants every test to run", pytrace=False)
    # A module may ask while it is collected.
    pytest.skip(reason, allow_module_level=True)


def need_module(name: str) -> Any:
    """Return a library that an extra brings; where it is missing, give up the test, or all tests of a module."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        give_up(f"{name} is not installed")


def find_test_data() -> Path | None:
    """Return the directory of the large test texts, None where there is none and the samples must do."""
    named = os.environ.get("HANMILL_TEST_DATA")
    directory = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    return directory if directory.is_dir() else None
