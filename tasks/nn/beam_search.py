"""Beam search over any decoder that goes on one token at a time, for many documents at once. Knows no network.

What it finds for a document does not depend on which others are in the batch. Finished hypotheses are kept, and a
document is done when nothing that is still growing can overtake them; it then costs no more steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import torch
from torch import Tensor

State = TypeVar("State")
#: Given the tokens of a hypothesis so far, returns the tokens that may not follow.
Forbids = Callable[[Sequence[int]], Iterable[int]]


class Decoder(Protocol[State]):
    """A network that continues texts. Its state holds whatever makes the next step cheap, for every hypothesis."""

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Take the newest tokens (D, K) of D documents with K hypotheses each.

        Returns the logarithms of the next tokens' probabilities (D, K, V), and the state after it.
        """
        ...

    def select(self, state: State, documents: Tensor, beams: Tensor) -> State:
        """Return the state of some documents (E,), with the hypotheses `beams` (E, K) of each in this order."""
        ...


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """How hypotheses are grown and compared."""

    start: int
    end: int
    #: Tokens of a hypothesis, start and end aside.
    max_length: int
    min_length: int = 1
    #: 1 is greedy.
    beams: int = 3
    #: α of the length penalty; 0 compares the probabilities of whole texts, which favours short ones.
    length_penalty: float = 1.0
    #: No sequence of so many tokens occurs twice; 0: it may.
    unrepeated: int = 0


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A text that the search came to."""

    #: Without start and end.
    tokens: tuple[int, ...]
    #: The logarithm of its probability, divided by the length penalty.
    score: float
    #: False where it was cut at `max_length`.
    is_ended: bool


def penalty(length: int, alpha: float) -> float:
    """Return ((5 + length) / 6) ^ alpha, the length penalty of Wu et al. 2016 (arXiv 1609.08144, formula 14)."""
    return float(((5 + length) / 6) ** alpha)


def beam_search(
    decoder: Decoder[State],
    state: State,
    documents: int,
    options: SearchOptions,
    forbids: Sequence[Forbids | None] | None = None,
    device: torch.device | str = "cpu",
) -> list[list[Hypothesis]]:
    """Return the best hypotheses of each document, at most as many as beams, the best first.

    `state` is that of `documents` documents with `options.beams` equal hypotheses each; `forbids` has for each document
    what may not follow. A document whose every continuation is forbidden has those hypotheses that were there before.
    """
    searches = [_Search(options, forbids[number] if forbids else None) for number in range(documents)]
    alive = list(range(documents))
    tokens = torch.full((documents, options.beams), options.start, dtype=torch.long, device=device)
    # The hypotheses are equal at first: only one of them may grow.
    scores = torch.full((documents, options.beams), -torch.inf, device=device)
    scores[:, 0] = 0.0
    for _ in range(options.max_length + 1):
        if not alive:
            break
        step, state = decoder.step(tokens, state)
        grown = scores.unsqueeze(-1) + step.float()  # (D, K, V)
        for row, number in enumerate(alive):
            searches[number].forbid(grown[row])
        # Twice as many as beams: should every beam end at once, as many go on.
        size = grown.shape[-1]
        values, places = grown.flatten(1).topk(min(2 * options.beams, options.beams * size), dim=1)
        chosen = [
            searches[number].grow(row_values, row_places, size)
            for number, row_values, row_places in zip(alive, values.tolist(), places.tolist(), strict=True)
        ]
        kept = [row for row, found in enumerate(chosen) if found is not None]
        continued = [found for found in chosen if found is not None]
        alive = [alive[row] for row in kept]
        if alive:
            beams = torch.tensor([found.beams for found in continued], device=device)
            tokens = torch.tensor([found.tokens for found in continued], device=device)
            scores = torch.tensor([found.scores for found in continued], device=device)
            state = decoder.select(state, torch.tensor(kept, device=device), beams)
    return [search.best() for search in searches]


@dataclass(frozen=True, slots=True)
class _Continued:
    """The hypotheses of one document that go on: each from which earlier one, by which token, and its score."""

    beams: list[int]
    tokens: list[int]
    scores: list[float]


@dataclass(slots=True)
class _Search:
    """The search for one document."""

    options: SearchOptions
    forbids: Forbids | None
    #: What grows, as tokens.
    growing: list[tuple[int, ...]] = field(default_factory=list)
    #: The logarithms of their probabilities; those of places that are not taken are -inf.
    values: list[float] = field(default_factory=list)
    finished: list[Hypothesis] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.growing = [()] * self.options.beams
        self.values = [0.0] + [-torch.inf] * (self.options.beams - 1)

    def forbid(self, grown: Tensor) -> None:
        """Take what may not follow out of the scores (K, V), in place."""
        options = self.options
        length = len(self.growing[0])
        if length < options.min_length:
            grown[:, options.end] = -torch.inf
        if length == options.max_length:
            # Only the end may follow; what cannot end is cut there.
            ends = grown[:, options.end].clone()
            grown.fill_(-torch.inf)
            grown[:, options.end] = ends
        for beam, tokens in enumerate(self.growing):
            forbidden = [*_repeating(tokens, options.unrepeated), *(self.forbids(tokens) if self.forbids else ())]
            if forbidden:
                grown[beam, torch.tensor(forbidden, device=grown.device)] = -torch.inf

    def grow(self, values: list[float], places: list[int], size: int) -> _Continued | None:
        """Take the best continuations, (beam, token) as beam * size + token; return what goes on, None when done."""
        options = self.options
        found = _Continued([], [], [])
        for rank, (value, place) in enumerate(zip(values, places, strict=True)):
            if value == -torch.inf or len(found.beams) == options.beams:
                break
            beam, token = divmod(place, size)
            if token != options.end:
                found.beams.append(beam)
                found.tokens.append(token)
                found.scores.append(value)
            elif rank < options.beams:
                self._finish(self.growing[beam], value, is_ended=True)
        if not found.beams:
            if not self.finished:
                self._cut()
            return None
        grown = [(*self.growing[beam], token) for beam, token in zip(found.beams, found.tokens, strict=True)]
        if self._is_done(found.scores[0], len(grown[0])):
            return None
        # Fewer continuations than beams: the rest of the places hold hypotheses that never win.
        lacking = options.beams - len(grown)
        found.beams.extend([0] * lacking)
        found.tokens.extend([options.end] * lacking)
        found.scores.extend([-torch.inf] * lacking)
        self.growing, self.values = grown + [grown[0]] * lacking, found.scores
        return found

    def best(self) -> list[Hypothesis]:
        """Return what was found, the best first."""
        ranked = sorted(self.finished, key=lambda hypothesis: (-hypothesis.score, hypothesis.tokens))
        return ranked[: self.options.beams]

    def _finish(self, tokens: tuple[int, ...], value: float, *, is_ended: bool) -> None:
        score = value / penalty(len(tokens), self.options.length_penalty)
        self.finished.append(Hypothesis(tokens, score, is_ended))

    def _cut(self) -> None:
        """Keep what has grown, where nothing of it may end."""
        for tokens, value in zip(self.growing, self.values, strict=True):
            if value > -torch.inf:
                self._finish(tokens, value, is_ended=False)

    def _is_done(self, best_growing: float, length: int) -> bool:
        if len(self.finished) < self.options.beams:
            return False
        # A score is below zero and only falls: at best it keeps its value, divided by the largest penalty.
        largest = max(penalty(end, self.options.length_penalty) for end in (length, self.options.max_length))
        return best_growing / largest <= self.best()[-1].score


def _repeating(tokens: Sequence[int], size: int) -> list[int]:
    """Return the tokens that would make a sequence of so many tokens occur a second time."""
    if not size or len(tokens) < size:
        return []
    last = tuple(tokens[len(tokens) - size + 1 :])
    return [tokens[at + size - 1] for at in range(len(tokens) - size + 1) if tuple(tokens[at : at + size - 1]) == last]
