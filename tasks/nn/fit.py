"""Trains a network: seeded, clipped, one-cycle, averaged weights, early stopping, and resumable after a kill.

Knows neither the network nor the data: a trainer gives batches, a loss and a figure to judge by.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

B = TypeVar("B")
#: What a killed training is taken up from, inside the directory that the model is written to.
STATE_FILE = "state.pt"
#: The schedule is made for no fewer steps.
LEAST_STEPS = 10


@dataclass(frozen=True, slots=True)
class FitOptions:
    """How a network is trained."""

    epochs: int
    #: The peak of the one-cycle schedule.
    learning_rate: float
    weight_decay: float = 0.01
    #: The gradient's norm is clipped to this.
    clip_norm: float = 1.0
    #: Of the exponential moving average of the weights, per step; None: no average.
    average_decay: float | None = None
    #: Epochs without a better figure after which training stops; None: never before the end.
    patience: int | None = None
    #: The part of the steps in which the learning rate rises.
    warm_up_share: float = 0.1
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one epoch came to."""

    number: int
    loss: float
    #: The trainer's figure on the dev part; higher is better.
    figure: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a training stands, inside an epoch."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float


@dataclass(slots=True)
class FitReport:
    """The course of a training."""

    epochs: list[Epoch] = field(default_factory=list)
    best_epoch: int = 0
    best_figure: float = -math.inf
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Course(Generic[B]):
    """What is particular to one training."""

    steps_per_epoch: int
    #: Gives the batches of an epoch, in an order that depends on the generator alone.
    batches: Callable[[torch.Generator], Iterable[B]]
    loss: Callable[[nn.Module, B], Tensor]
    #: Judges a network on the dev part; called in evaluation mode, without gradients.
    evaluate: Callable[[nn.Module], float]
    #: A digest of the data: a state that belongs to other data is not resumed.
    data_digest: str = ""


class FitError(RuntimeError):
    """A training that cannot go on; the message says why."""


def fit(
    network: nn.Module,
    course: Course[B],
    options: FitOptions,
    state_dir: Path | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> FitReport:
    """Train a network; it ends with the weights of its best epoch. With `state_dir`, a killed training is resumed.

    The caller seeds the making of the network. Raises `FitError` when the loss is no finite number.
    """
    trainer = _Trainer(network, course, options, state_dir)
    trainer.resume()
    while not trainer.is_over():
        trainer.epoch(on_progress)
        if on_epoch is not None:
            on_epoch(trainer.report.epochs[-1])
    network.load_state_dict(trainer.best_weights)
    return trainer.report


class _Trainer(Generic[B]):
    """The state of one training."""

    def __init__(self, network: nn.Module, course: Course[B], options: FitOptions, state_dir: Path | None) -> None:
        self._network = network
        self._course = course
        self._options = options
        self._state_path = state_dir / STATE_FILE if state_dir else None
        self._optimizer = torch.optim.AdamW(_groups(network, options.weight_decay), lr=options.learning_rate)
        total_steps = max(LEAST_STEPS, options.epochs * course.steps_per_epoch + 1)
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimizer,
            max_lr=options.learning_rate,
            total_steps=total_steps,
            # At least two steps up, or the schedule would divide by none.
            pct_start=max(options.warm_up_share, 2 / total_steps),
        )
        self._average = (
            AveragedModel(
                network,
                multi_avg_fn=get_ema_multi_avg_fn(options.average_decay),  # type: ignore[no-untyped-call]
                use_buffers=True,
            )
            if options.average_decay is not None
            else None
        )
        self.best_weights: dict[str, Tensor] = copy.deepcopy(network.state_dict())
        self.report = FitReport()

    def is_over(self) -> bool:
        """Say whether the epochs are done, or have brought nothing for too long."""
        done = len(self.report.epochs)
        patience = self._options.patience
        return done >= self._options.epochs or (patience is not None and done - self.report.best_epoch > patience)

    def epoch(self, on_progress: Callable[[Progress], None] | None) -> None:
        """Train one epoch, judge it, and write down where the training stands."""
        number = len(self.report.epochs) + 1
        started = time.perf_counter()
        # Everything random in an epoch depends on the seed and its number, so that a resumed one is the same.
        torch.manual_seed(self._options.seed * 1_000_003 + number)
        generator = torch.Generator().manual_seed(self._options.seed * 1_000_003 + number)
        loss = self._train(number, self._course.batches(generator), on_progress)
        figure = self._judge()
        seconds = time.perf_counter() - started
        self.report.seconds += seconds
        self.report.epochs.append(Epoch(number, loss, figure, seconds))
        if figure > self.report.best_figure:
            self.report.best_figure, self.report.best_epoch = figure, number
            self.best_weights = copy.deepcopy(self._judged().state_dict())
        self._save()

    def _train(self, number: int, batches: Iterable[B], on_progress: Callable[[Progress], None] | None) -> float:
        self._network.train()
        total = 0.0
        step = 0
        for step, batch in enumerate(batches, start=1):
            loss = self._course.loss(self._network, batch)
            value = loss.item()
            if not math.isfinite(value):
                message = f"the loss of epoch {number}, step {step} is {value}; lower the learning rate"
                raise FitError(message)
            self._optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self._network.parameters(), self._options.clip_norm)
            self._optimizer.step()
            self._schedule.step()
            if self._average is not None:
                self._average.update_parameters(self._network)
            total += value
            if on_progress is not None:
                on_progress(Progress(number, self._options.epochs, step, self._course.steps_per_epoch, total / step))
        return total / max(step, 1)

    def _judged(self) -> nn.Module:
        return self._average.module if self._average is not None else self._network

    def _judge(self) -> float:
        network = self._judged()
        network.eval()
        with torch.inference_mode():
            return self._course.evaluate(network)

    def _key(self) -> dict[str, Any]:
        shapes = {name: list(tensor.shape) for name, tensor in self._network.state_dict().items()}
        return {"options": asdict(self._options), "data": self._course.data_digest, "shapes": shapes}

    def _save(self) -> None:
        if self._state_path is None:
            return
        state = {
            "key": self._key(),
            "network": self._network.state_dict(),
            "average": self._average.state_dict() if self._average is not None else None,
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "best_weights": self.best_weights,
            "report": asdict(self.report),
        }
        self._state_path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._state_path.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self._state_path)

    def resume(self) -> None:
        """Take up the state that a killed training left, if it belongs to the same data and options."""
        if self._state_path is None or not self._state_path.exists():
            return
        state = torch.load(self._state_path, weights_only=True)
        if state["key"] != self._key():
            return
        self._network.load_state_dict(state["network"])
        if self._average is not None:
            self._average.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        self.best_weights = state["best_weights"]
        saved = state["report"]
        self.report = FitReport(
            [Epoch(**epoch) for epoch in saved["epochs"]], saved["best_epoch"], saved["best_figure"], saved["seconds"]
        )


def _groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return the parameters in two groups: biases, norms and scales are not decayed."""
    decayed = [parameter for parameter in network.parameters() if parameter.requires_grad and parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.requires_grad and parameter.ndim <= 1]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
