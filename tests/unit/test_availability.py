"""What is missing is said: skipped with the reason on a laptop, failed where every test must run."""

from __future__ import annotations

import json

import pytest

from tests.support.availability import REPOSITORY, give_up, need_module


def test_a_library_that_is_there_is_given() -> None:
    assert need_module("json") is json


@pytest.mark.parametrize(("required", "outcome"), [("0", pytest.skip.Exception), ("1", pytest.fail.Exception)])
def test_what_is_missing_skips_or_fails_with_its_name(
    monkeypatch: pytest.MonkeyPatch, required: str, outcome: type[BaseException]
) -> None:
    monkeypatch.setenv("HANMILL_TEST_REQUIRE_ALL", required)
    with pytest.raises(outcome, match="no_such_library is not installed"):
        need_module("no_such_library")
    with pytest.raises(outcome, match="the reason"):
        give_up("the reason")


def test_a_library_that_lacks_a_part_of_its_own_is_no_missing_library() -> None:
    with pytest.raises(ModuleNotFoundError):
        need_module("json.no_such_part.below")


def test_no_test_skips_for_want_of_a_library_in_another_way() -> None:
    word = "import" + "orskip"
    found = [path for path in (REPOSITORY / "tests").rglob("*.py") if word in path.read_text(encoding="utf-8")]
    assert found == []
