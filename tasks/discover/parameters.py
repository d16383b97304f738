"""The options of `discover`, checked and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from storage.errors import UsageError
from tasks.discover.lexicon import Thresholds, min_count_for
from tasks.segmentation import segmentation_parameters

#: Most characters of a word. What is longer would take a window of four numbers, and is a phrase more often than not.
MAX_LENGTHS = range(2, 7)
DEFAULT_MAX_LENGTH = 4
#: Natural logarithms for each character after the first: 2, 4, 6 for words of two, three and four (the source's own).
DEFAULT_MIN_PMI = 2.0
#: Natural logarithm: as many neighbours on either side as four or five that are equally frequent.
DEFAULT_MIN_ENTROPY = 1.5


def discovery_parameters(options: Mapping[str, Any], add_resource: Callable[[bytes], str]) -> dict[str, Any]:
    """Check the options max_length, min_count, min_pmi, min_entropy and user_dict, and return them as JSON.

    A least count that is not given is chosen by the size of the corpus. Raises `UsageError`.
    """
    min_count = options.get("min_count")
    parameters = {
        "max_length": _number(options, "max_length", int, DEFAULT_MAX_LENGTH),
        "min_count": None if min_count is None else _number(options, "min_count", int, 0),
        "min_pmi": _number(options, "min_pmi", float, DEFAULT_MIN_PMI),
        "min_entropy": _number(options, "min_entropy", float, DEFAULT_MIN_ENTROPY),
        "user_dict": segmentation_parameters({"user_dict": options.get("user_dict")}, add_resource)["user_dict"],
    }
    if fault := _fault_of(parameters):
        raise UsageError(fault)
    return parameters


def _number(options: Mapping[str, Any], name: str, kind: type[int | float], default: float) -> Any:
    """Return an option as a number of a kind; a producer may give anything."""
    value = options.get(name)
    try:
        return kind(default if value is None else value)
    except (TypeError, ValueError, OverflowError) as error:
        message = f"{_option(name)} is a number, not {value!r}"
        raise UsageError(message) from error


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _fault_of(parameters: Mapping[str, Any]) -> str | None:
    if parameters["max_length"] not in MAX_LENGTHS:
        limits = f"{MAX_LENGTHS[0]} to {MAX_LENGTHS[-1]}"
        return f"--max-length is {limits} characters for new words, not {parameters['max_length']}"
    if parameters["min_count"] is not None and parameters["min_count"] < 1:
        return f"--min-count is 1 or more, not {parameters['min_count']}"
    for name in ("min_pmi", "min_entropy"):
        if not 0 <= parameters[name] < float("inf"):
            return f"{_option(name)} is 0 or more, not {parameters[name]}"
    return None


def thresholds_for(parameters: Mapping[str, Any], ideographs: int) -> Thresholds:
    """Return what an n-gram must reach in a corpus of so many ideographs."""
    min_count = parameters["min_count"]
    chosen = min_count_for(ideographs) if min_count is None else min_count
    return Thresholds(chosen, parameters["min_pmi"], parameters["min_entropy"])
