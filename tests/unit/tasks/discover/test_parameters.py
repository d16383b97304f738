"""The options of `discover`: what they are when nothing is said, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from storage.errors import UsageError
from tasks.discover.lexicon import Thresholds
from tasks.discover.parameters import discovery_parameters, thresholds_for


def never(_: bytes) -> str:
    message = "nothing was to be stored"
    raise AssertionError(message)


def test_what_is_not_said_has_its_default() -> None:
    parameters = discovery_parameters({}, never)
    assert parameters == {"max_length": 4, "min_count": None, "min_pmi": 2.0, "min_entropy": 1.5, "user_dict": None}
    assert thresholds_for(parameters, 10**6) == Thresholds(10, 2.0, 1.5)


def test_what_is_said_holds() -> None:
    parameters = discovery_parameters({"max_length": 6, "min_count": 3, "min_pmi": 0, "min_entropy": 0.5}, never)
    assert parameters["max_length"] == 6
    assert thresholds_for(parameters, 10**6) == Thresholds(3, 0.0, 0.5)


def test_the_users_dictionary_is_stored(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("碳达峰 5\n", encoding="utf-8")
    kept: list[bytes] = []

    def store(data: bytes) -> str:
        kept.append(data)
        return "digest"

    assert discovery_parameters({"user_dict": str(path)}, store)["user_dict"] == "digest"
    assert kept == ["碳达峰 5\n".encode()]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_length": 1}, "--max-length is 2 to 6 characters for new words, not 1"),
        ({"max_length": 7}, "not 7"),
        ({"min_count": 0}, "--min-count is 1 or more, not 0"),
        ({"min_pmi": -1.0}, "--min-pmi is 0 or more, not -1.0"),
        ({"min_entropy": float("nan")}, "--min-entropy is 0 or more, not nan"),
        ({"max_length": "four"}, "--max-length is a number, not 'four'"),
        ({"min_count": []}, r"--min-count is a number, not \[\]"),
        ({"min_pmi": float("inf")}, "--min-pmi is 0 or more, not inf"),
        ({"max_length": float("inf")}, "--max-length is a number, not inf"),
        ({"user_dict": "/nowhere/words.txt"}, "--user-dict /nowhere/words.txt: cannot be read"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        discovery_parameters(options, never)
