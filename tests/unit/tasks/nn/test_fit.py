"""Training: it learns, it stops, and a killed one that is taken up again ends where an unbroken one does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tasks.nn.fit import Course, Epoch, FitError, FitOptions, Progress, fit

DATA = torch.randn(64, 4, generator=torch.Generator().manual_seed(1))
TARGET = DATA @ torch.tensor([1.0, -2.0, 0.5, 3.0])
OPTIONS = FitOptions(epochs=6, learning_rate=0.05, average_decay=0.8, seed=3)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.1), nn.Tanh(), nn.Linear(8, 1))


def batches(generator: torch.Generator) -> Iterator[Tensor]:
    yield from torch.randperm(64, generator=generator).view(4, 16)


def loss(net: nn.Module, batch: Tensor) -> Tensor:
    return nn.functional.mse_loss(net(DATA[batch]).squeeze(1), TARGET[batch])


def judge(net: nn.Module) -> float:
    return -float(nn.functional.mse_loss(net(DATA).squeeze(1), TARGET))


def course(data_digest: str = "") -> Course[Tensor]:
    return Course(4, batches, loss, judge, data_digest)


def test_a_network_learns_and_ends_with_its_best_weights() -> None:
    net = network()
    with torch.inference_mode():
        before = judge(net.eval())
    report = fit(net, course(), OPTIONS)
    assert report.best_figure > before / 2
    assert [epoch.number for epoch in report.epochs] == [1, 2, 3, 4, 5, 6]
    with torch.inference_mode():
        assert judge(net.eval()) == pytest.approx(report.best_figure)


class KilledError(Exception):
    """Stands for the end of the process."""


def test_a_killed_training_ends_with_the_weights_of_an_unbroken_one(tmp_path: Path) -> None:
    unbroken, killed = network(), network()
    fit(unbroken, course(), OPTIONS)

    def kill(progress: Progress) -> None:
        if (progress.epoch, progress.step) == (4, 2):
            raise KilledError

    with pytest.raises(KilledError):
        fit(killed, course(), OPTIONS, tmp_path, on_progress=kill)
    done: list[Epoch] = []
    again = network()
    report = fit(again, course(), OPTIONS, tmp_path, on_epoch=done.append)
    assert [epoch.number for epoch in done] == [4, 5, 6]
    assert len(report.epochs) == 6
    for name, weight in unbroken.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name])


def test_a_state_of_other_data_or_options_is_not_taken_up(tmp_path: Path) -> None:
    fit(network(), course("a"), OPTIONS, tmp_path)
    for other in (course("b"), course("a")):
        done: list[Epoch] = []
        options = OPTIONS if other.data_digest == "b" else FitOptions(epochs=6, learning_rate=0.01)
        fit(network(), other, options, tmp_path, on_epoch=done.append)
        assert len(done) == 6


@pytest.mark.parametrize("epochs", [1, 2, 3, 5, 9])
def test_very_few_steps_are_trained_too(epochs: int) -> None:
    def one_batch(generator: torch.Generator) -> Iterator[Tensor]:
        yield torch.randperm(64, generator=generator)

    report = fit(network(), Course(1, one_batch, loss, judge), FitOptions(epochs=epochs, learning_rate=0.01))
    assert len(report.epochs) == epochs


def test_training_stops_when_nothing_gets_better() -> None:
    figures = iter([1.0, 2.0, 1.5, 1.5, 1.5, 9.0])
    waiting = FitOptions(epochs=6, learning_rate=0.01, patience=2)
    report = fit(network(), Course(4, batches, loss, lambda _: next(figures)), waiting)
    assert (report.best_epoch, len(report.epochs)) == (2, 5)


def test_a_loss_that_is_no_number_ends_the_training_with_advice() -> None:
    with pytest.raises(FitError, match="lower the learning rate"):
        fit(network(), Course(4, batches, lambda net, batch: loss(net, batch) * float("nan"), judge), OPTIONS)
