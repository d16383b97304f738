"""Beam search on decoders whose every probability is known."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from tasks.nn.beam_search import Hypothesis, SearchOptions, beam_search, penalty

START, END = 0, 1
Table = dict[tuple[int, ...], dict[int, float]]
OPTIONS = SearchOptions(START, END, max_length=5, length_penalty=0.0)


class TableDecoder:
    """A decoder whose state is the text so far, and whose probabilities are looked up by document and text."""

    def __init__(self, tables: Sequence[Table], size: int, default: int = END) -> None:
        self._tables = tables
        self._size = size
        self._default = default

    def begin(self, beams: int) -> list[tuple[int, list[tuple[int, ...]]]]:
        return [(number, [()] * beams) for number in range(len(self._tables))]

    def step(self, tokens: torch.Tensor, state: list[tuple[int, list[tuple[int, ...]]]]) -> tuple[torch.Tensor, object]:
        known = [
            (number, [(*text, token) if token != START else text for text, token in zip(texts, row, strict=True)])
            for (number, texts), row in zip(state, tokens.tolist(), strict=True)
        ]
        rows = [[self._row(self._tables[number], text) for text in texts] for number, texts in known]
        return torch.tensor(rows, dtype=torch.float64).log(), known

    def select(self, state: object, documents: torch.Tensor, beams: torch.Tensor) -> object:
        return [
            (state[document][0], [state[document][1][beam] for beam in row])  # type: ignore[index]
            for document, row in zip(documents.tolist(), beams.tolist(), strict=True)
        ]

    def _row(self, table: Table, text: tuple[int, ...]) -> list[float]:
        shares = table.get(text, {self._default: 1.0})
        return [shares.get(token, 0.0) for token in range(self._size)]


def search(decoder: TableDecoder, documents: int, options: SearchOptions, **more: object) -> list[list[Hypothesis]]:
    return beam_search(decoder, decoder.begin(options.beams), documents, options, **more)  # type: ignore[arg-type,misc]


#: Greedily 2 first (0.6), though 3 leads to the likelier whole.
MYOPIC = {(): {2: 0.6, 3: 0.4}, (2,): {4: 0.55, 5: 0.45}, (3,): {4: 0.9, 5: 0.1}}


def test_beams_find_what_greed_misses() -> None:
    decoder = TableDecoder([MYOPIC], 6)
    ((greedy,),) = search(decoder, 1, replace(OPTIONS, beams=1))
    assert greedy.tokens == (2, 4)
    assert math.exp(greedy.score) == pytest.approx(0.33)
    (found,) = search(decoder, 1, replace(OPTIONS, beams=2))
    assert found[0].tokens == (3, 4)
    assert math.exp(found[0].score) == pytest.approx(0.36)
    assert found[0].is_ended


def random_tables(documents: int, size: int, length: int, seed: int) -> list[Table]:
    generator = torch.Generator().manual_seed(seed)
    tables = []
    for _ in range(documents):
        table = {}
        for depth in range(length + 1):
            for text in itertools.product(range(2, size), repeat=depth):
                shares = torch.rand(size - 1, generator=generator, dtype=torch.float64) ** 3
                table[text] = dict(enumerate((shares / shares.sum()).tolist(), start=1))
        tables.append(table)
    return tables


def exhaustive(table: Table, size: int, options: SearchOptions) -> Hypothesis:
    """Return the best of all texts there are."""
    best = Hypothesis((), -math.inf, is_ended=True)
    for length in range(options.min_length, options.max_length + 1):
        for text in itertools.product(range(2, size), repeat=length):
            steps = [table[text[:at]][token] for at, token in enumerate((*text, END))]
            score = sum(map(math.log, steps)) / penalty(length, options.length_penalty)
            if score > best.score:
                best = Hypothesis(text, score, is_ended=True)
    return best


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0, 2.0])
@pytest.mark.parametrize("min_length", [0, 1, 3])
def test_with_beams_for_everything_the_best_of_all_texts_is_found(alpha: float, min_length: int) -> None:
    size, options = 5, SearchOptions(START, END, 4, min_length, beams=200, length_penalty=alpha)
    tables = random_tables(6, size, 4, seed=1)
    for table, found in zip(tables, search(TableDecoder(tables, size), 6, options), strict=True):
        best = exhaustive(table, size, options)
        assert found[0].tokens == best.tokens
        assert found[0].score == pytest.approx(best.score)


@pytest.mark.parametrize("beams", [1, 3])
def test_a_batch_finds_what_each_document_finds_alone(beams: int) -> None:
    size, options = 6, SearchOptions(START, END, 4, beams=beams, unrepeated=2)
    tables = random_tables(9, size, 4, seed=2)
    together = search(TableDecoder(tables, size), 9, options)
    alone = [search(TableDecoder([table], size), 1, options)[0] for table in tables]
    assert together == alone
    assert len({len(found[0].tokens) for found in together}) > 1


def test_nothing_that_is_forbidden_or_repeated_is_written() -> None:
    again = {(): {2: 1.0}, (2,): {3: 1.0}, (2, 3): {2: 0.9, 4: 0.1}, (2, 3, 2): {3: 0.9, 5: 0.1}}
    decoder = TableDecoder([again], 6)
    ((free, *_),) = search(decoder, 1, replace(OPTIONS, max_length=8))
    assert free.tokens == (2, 3, 2, 3)
    ((unrepeated, *_),) = search(decoder, 1, replace(OPTIONS, unrepeated=2))
    assert unrepeated.tokens == (2, 3, 4)
    ((allowed, *_),) = search(decoder, 1, OPTIONS, forbids=[lambda tokens: [2] if tokens else []])
    assert allowed.tokens == (2, 3, 4)


def test_texts_keep_to_their_lengths_and_what_cannot_end_is_cut() -> None:
    endless = TableDecoder([{}], 4, default=2)
    ((cut, *_),) = search(endless, 1, replace(OPTIONS, max_length=3))
    assert (cut.tokens, cut.is_ended) == ((2, 2, 2), False)
    short = {(): {END: 0.9, 2: 0.1}, (2,): {END: 0.9, 3: 0.1}}
    ((longer, *_),) = search(TableDecoder([short], 4), 1, replace(OPTIONS, min_length=2))
    assert longer.tokens == (2, 3)
    ((nothing, *_),) = search(TableDecoder([short], 4), 1, OPTIONS, forbids=[lambda _: [1, 2, 3]])
    assert (nothing.tokens, nothing.is_ended) == ((), False)


def test_finished_hypotheses_are_kept_and_normalized_by_length() -> None:
    table = {(): {2: 0.5, 3: 0.5}, (2,): {END: 0.4, 4: 0.6}, (3,): {END: 0.6, 4: 0.4}, (2, 4): {END: 1.0}}
    (found,) = search(TableDecoder([table], 5), 1, replace(OPTIONS, beams=3, length_penalty=1.0))
    scores = {text.tokens: text.score for text in found}
    assert scores == {
        (2, 4): pytest.approx(math.log(0.3) / (7 / 6)),
        (3,): pytest.approx(math.log(0.3) / 1.0),
        (3, 4): pytest.approx(math.log(0.2) / (7 / 6)),
    }
    assert found[0].tokens == (2, 4)
