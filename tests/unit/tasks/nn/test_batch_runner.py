"""A full device, a poisonous text, a broken model: who is blamed, and what the others get."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
import torch

from tasks.nn.backend import EMPTY_TEXT, BackendFailedError, UnfitTextError
from tasks.nn.batch_runner import BackendBrokenError, BatchRunner, is_out_of_memory, warm_up
from tasks.nn.offline import run_all


@dataclass(frozen=True)
class Letters:
    """A window of letters."""

    text: str

    @property
    def length(self) -> int:
        return len(self.text)


class Shouter:
    """A model that shouts, and fails where a test wants it to."""

    digest = "0" * 64

    def __init__(self, check: Callable[[Sequence[Letters]], None] = lambda windows: None) -> None:
        self._check = check
        self.batches: list[list[str]] = []

    def windows(self, text: str) -> list[Letters]:
        if not text:
            raise UnfitTextError(EMPTY_TEXT, "nothing to shout")
        return [Letters(text[start : start + 10]) for start in range(0, len(text), 10)]

    def forward(self, windows: Sequence[Letters]) -> list[str]:
        self._check(windows)
        self.batches.append([window.text for window in windows])
        return [window.text.upper() for window in windows]

    def result(self, text: str, windows: Sequence[Letters], outputs: Sequence[str]) -> str:
        assert len(windows) == len(outputs)
        return "".join(outputs)


def full_above(positions: int) -> Callable[[Sequence[Letters]], None]:
    def check(windows: Sequence[Letters]) -> None:
        if max(window.length for window in windows) * len(windows) > positions:
            message = "no room"
            raise torch.OutOfMemoryError(message)

    return check


def poison(windows: Sequence[Letters]) -> None:
    if any("x" in window.text for window in windows):
        message = "bad text"
        raise ValueError(message)


TEXTS = [chr(ord("a") + number % 20) * (1 + number * 7 % 23) for number in range(60)]


def test_results_come_back_in_the_order_of_the_texts_whatever_the_budget() -> None:
    for budget in (1, 40, 10_000):
        assert run_all(Shouter(), TEXTS, budget) == [text.upper() for text in TEXTS]


def test_an_unfit_text_gives_its_error_and_the_others_their_results() -> None:
    first, second, third = run_all(Shouter(), ["ab", "", "c"])
    assert (first, third) == ("AB", "C")
    assert isinstance(second, UnfitTextError)
    assert second.reason == EMPTY_TEXT


def test_a_device_that_is_full_gets_half_and_everything_is_computed() -> None:
    runner = BatchRunner(Shouter(full_above(600)), token_budget=4096)
    windows = [Letters("a" * 10)] * 300
    assert runner.run(windows) == ["A" * 10] * 300
    assert runner.statistics.out_of_memory >= 1
    assert runner.token_budget < 4096


def test_a_halved_budget_grows_back_slowly_when_there_is_room_again() -> None:
    runner = BatchRunner(Shouter(), token_budget=4096)
    runner.token_budget = 512
    for _ in range(50):
        runner.run([Letters("a")])
    assert 512 < runner.token_budget < 600
    for _ in range(5000):
        runner.run([Letters("a")])
    assert runner.token_budget == 4096


def test_one_window_too_large_for_the_device_is_set_aside_alone() -> None:
    runner = BatchRunner(Shouter(full_above(9)), token_budget=512, probe=[Letters("a")])
    outputs = runner.run([Letters("a" * 10), Letters("bb")])
    assert isinstance(outputs[0], UnfitTextError)
    assert outputs[0].reason == "out_of_memory"
    assert outputs[1] == "BB"


def test_a_text_that_fails_alone_is_found_among_many_and_the_others_live() -> None:
    texts = [*TEXTS, "xyz", *TEXTS]
    outputs = run_all(Shouter(poison), texts)
    bad = outputs.pop(len(TEXTS))
    assert isinstance(bad, UnfitTextError)
    assert bad.reason == "model_failed"
    assert "bad text" in bad.detail
    assert outputs == [text.upper() for text in TEXTS + TEXTS]


def test_no_text_is_blamed_for_a_model_that_fails_on_everything() -> None:
    broken = False

    def check(windows: Sequence[Letters]) -> None:
        if broken:
            message = "CUDA error: device-side assert triggered"
            raise RuntimeError(message)

    runner = warm_up(Shouter(check), "cpu")
    broken = True
    with pytest.raises(BackendBrokenError, match="device-side assert"):
        runner.run([Letters("ab"), Letters("cd")])


def test_a_model_that_fails_on_an_ordinary_text_is_refused_at_the_warm_up() -> None:
    def check(windows: Sequence[Letters]) -> None:
        message = "no kernel"
        raise RuntimeError(message)

    with pytest.raises(BackendBrokenError, match="no kernel"):
        warm_up(Shouter(check), "cpu")


def test_the_warm_up_stays_within_what_the_device_holds() -> None:
    runner = warm_up(Shouter(full_above(2000)), "cpu")
    assert runner.token_budget <= 2048
    assert runner.run([Letters("a")] * 10) == ["A"] * 10


def test_a_signal_that_the_time_is_up_is_no_fault_of_a_batch() -> None:
    def check(windows: Sequence[Letters]) -> None:
        raise TimeoutError

    runner = BatchRunner(Shouter(check), 512)
    runner.let_through = (TimeoutError,)
    with pytest.raises(TimeoutError):
        runner.run([Letters("a")])


def test_a_server_that_is_away_is_no_fault_of_any_text() -> None:
    def check(windows: Sequence[Letters]) -> None:
        message = "connection refused"
        raise BackendFailedError(message)

    with pytest.raises(BackendBrokenError, match="connection refused"):
        BatchRunner(Shouter(check), 512).run([Letters("a"), Letters("b")])


def test_a_backend_that_knows_its_budget_is_not_warmed_up() -> None:
    class Served(Shouter):
        fixed_token_budget = 77

    served = Served()
    assert warm_up(served, "cpu").token_budget == 77
    assert served.batches == []


def test_a_failure_of_the_moment_is_tried_once_more() -> None:
    failures = iter([True, False])

    def check(windows: Sequence[Letters]) -> None:
        if next(failures, False):
            message = "busy"
            raise RuntimeError(message)

    assert BatchRunner(Shouter(check), 512).run([Letters("a")]) == ["A"]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED"),
    ],
)
def test_every_way_of_saying_that_memory_is_short_is_known(error: Exception) -> None:
    assert is_out_of_memory(error)
    assert not is_out_of_memory(ValueError("out of memory"))
