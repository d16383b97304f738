"""Our BLEU beside that of a public library, and where it is known by hand."""

from __future__ import annotations

import math
import random

import pytest
from nltk.translate import bleu_score

from tasks.text.bleu import bleu, corpus_bleu, mean_bleu

SMOOTHED = bleu_score.SmoothingFunction(epsilon=0.1).method1


def texts(count: int, seed: int) -> list[str]:
    dice = random.Random(seed)
    return ["".join(dice.choice("水稻育种方法研究") for _ in range(dice.randrange(1, 24))) for _ in range(count)]


def test_it_agrees_with_nltk_on_every_text_and_on_all_together() -> None:
    candidates, references = texts(500, seed=1), texts(500, seed=2)
    single = [
        bleu_score.sentence_bleu([list(reference)], list(candidate), smoothing_function=SMOOTHED)
        for candidate, reference in zip(candidates, references, strict=True)
    ]
    ours = [bleu(candidate, reference) for candidate, reference in zip(candidates, references, strict=True)]
    assert ours == pytest.approx(single, abs=1e-12)
    assert mean_bleu(candidates, references) == pytest.approx(sum(single) / 500, abs=1e-12)
    whole = bleu_score.corpus_bleu(
        [[list(reference)] for reference in references], list(map(list, candidates)), smoothing_function=SMOOTHED
    )
    assert corpus_bleu(candidates, references) == pytest.approx(whole, abs=1e-12)


def test_equal_texts_have_1_and_strangers_or_nothing_0() -> None:
    assert bleu("水稻育种方法", "水稻育种方法") == pytest.approx(1)
    assert bleu("网络", "水稻育种") == bleu("", "水稻") == bleu("水稻", "") == mean_bleu([], []) == 0


def test_a_short_candidate_is_charged_for_its_brevity() -> None:
    assert bleu("水稻育种", "水稻育种方法研究") == pytest.approx(math.exp(1 - 8 / 4))
