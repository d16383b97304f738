from __future__ import annotations

from typing import Any

from workers.cli.result import adds_up, equation, fault_of, rate_of

VIEW: dict[str, Any] = {
    "id": 7,
    "operation": "count",
    "state": "DONE",
    "reason": None,
    "documents": 10,
    "results": 6,
    "identical": 1,
    "replaced": 1,
    "dead": 2,
    "bytes_done": 3 * 1024**2,
    "reused_bytes": 1024**2,
    "elapsed_s": 4.0,
}


def test_figures_that_add_up_are_no_fault() -> None:
    assert adds_up(VIEW)
    assert fault_of(VIEW) is None
    assert equation(VIEW) == "10 documents = 6 results + 1 identical + 1 replaced + 2 dead"


def test_figures_that_do_not_add_up_are_loud() -> None:
    fault = fault_of({**VIEW, "results": 5})
    assert fault is not None
    assert "DO NOT ADD UP" in fault
    assert "10 documents ≠ 5 results" in fault


def test_what_was_found_when_the_job_ended_is_loud_too() -> None:
    fault = fault_of({**VIEW, "reason": "its figures do not add up: 2 documents are dead by the shards"})
    assert fault is not None
    assert "DO NOT ADD UP" in fault
    assert "2 documents are dead by the shards" in fault


def test_a_job_that_failed_says_why() -> None:
    assert fault_of({**VIEW, "state": "FAILED", "reason": "no memory"}) == "job 7 (count) is FAILED: no memory"


def test_the_rate_is_of_what_was_computed() -> None:
    assert rate_of(VIEW) == "0.50 MB/s"
    assert rate_of({**VIEW, "reused_bytes": VIEW["bytes_done"]}) == ""
