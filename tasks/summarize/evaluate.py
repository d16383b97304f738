"""Measures a summarizer by ROUGE against people's summaries, beside lead and clause TextRank computed in the same run.

All figures are per cent of clipped character ROUGE F1, means over documents; a document without a summary counts 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.nn.backend import Backend, UnfitTextError
from tasks.nn.offline import DEFAULT_TOKEN_BUDGET, run_all
from tasks.summarize.lead import LeadBackend
from tasks.summarize.summary import Length, Summary, max_chars_of
from tasks.summarize.textrank import TextRankBackend
from tasks.summarize.training_data import Pair
from tasks.text.rouge import Convention, normalize, rouge

#: Resamples of the documents for an interval of a difference (Efron & Tibshirani 1993, chapter 13).
BOOTSTRAP_SAMPLES = 1000
#: The interval holds this part of the resamples.
BOOTSTRAP_SHARE = 0.95


@dataclass(frozen=True, slots=True)
class SummaryScores:
    """What one system came to."""

    rouge_1: float
    rouge_2: float
    rouge_l: float
    #: The same in the convention of published tables (`tasks.text.rouge`, compat="pltrdy").
    rouge_1_published: float
    rouge_2_published: float
    rouge_l_published: float
    mean_chars: float
    #: Documents for which there was no summary.
    empty: int


@dataclass(frozen=True, slots=True)
class Difference:
    """How much more ROUGE-L the system has than a baseline, with its 95 % interval by a paired bootstrap."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class SummaryEvaluation:
    """A system beside its baselines, on the same documents."""

    documents: int
    length: str
    max_chars: int
    mean_target_chars: float
    system: SummaryScores
    #: By name: `lead`, `textrank` under the same limit, `lead_same_length`, `textrank_same_length` with at most as many
    #: characters as the system used for the same document.
    baselines: Mapping[str, SummaryScores]
    over: Mapping[str, Difference]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON can hold it, figures rounded to two places."""
        rounded: dict[str, Any] = _rounded(asdict(self))
        return rounded


def evaluate_summarizer(
    backend: Backend[Any, Any, Summary],
    pairs: Sequence[Pair],
    *,
    length: Length = "title",
    max_chars: int | None = None,
    token_budget: int = DEFAULT_TOKEN_BUDGET,
    seed: int = 0,
) -> SummaryEvaluation:
    """Summarize the texts of all pairs and compare; the baselines get the length and limit named here.

    The backend must have been made with the same length and limit. Raises ValueError when there are no pairs.
    """
    if not pairs:
        message = "there is nothing to evaluate on: no pairs of a text and a summary"
        raise ValueError(message)
    limit = max_chars_of(length, max_chars)
    outputs = [_text(result) for result in run_all(backend, [pair.text for pair in pairs], token_budget)]
    rivals = _baselines(pairs, outputs, length, limit)
    targets = [pair.target for pair in pairs]
    system = _long_scores(outputs, targets)
    generator = np.random.default_rng(seed)
    return SummaryEvaluation(
        documents=len(pairs),
        length=length,
        max_chars=limit,
        mean_target_chars=float(np.mean([len(normalize(target)) for target in targets])),
        system=_scores(outputs, targets),
        baselines={name: _scores(texts, targets) for name, texts in rivals.items()},
        over={
            name: paired_difference(system, _long_scores(texts, targets), generator) for name, texts in rivals.items()
        },
    )


def mean_rouge_l(outputs: Sequence[str], targets: Sequence[str]) -> float:
    """Return the mean ROUGE-L in per cent: the figure by which training is judged."""
    return float(_long_scores(outputs, targets).mean())


def paired_difference(
    ours: NDArray[np.float64], theirs: NDArray[np.float64], generator: np.random.Generator
) -> Difference:
    """Return the mean difference of two systems' scores per document, with its interval."""
    differences = ours - theirs
    picks = generator.integers(0, len(differences), (BOOTSTRAP_SAMPLES, len(differences)))
    means = differences[picks].mean(axis=1)
    tail = (1.0 - BOOTSTRAP_SHARE) / 2
    low, high = np.quantile(means, [tail, 1.0 - tail])
    return Difference(float(differences.mean()), float(low), float(high))


def _text(result: Summary | UnfitTextError) -> str:
    return "" if isinstance(result, UnfitTextError) else result.text


def _baselines(pairs: Sequence[Pair], outputs: Sequence[str], length: Length, limit: int) -> dict[str, list[str]]:
    lead, textrank = LeadBackend(length, limit), TextRankBackend(length, limit)
    sizes = [max(1, len(output)) for output in outputs]
    texts = [pair.text for pair in pairs]
    return {
        "lead": [_text(result) for result in run_all(lead, texts)],
        "textrank": [_text(result) for result in run_all(textrank, texts)],
        # Cut at the very character: nothing is lost to whole clauses.
        "lead_same_length": [text.strip()[:size] for text, size in zip(texts, sizes, strict=True)],
        "textrank_same_length": [
            _text(run_all(TextRankBackend(length, size), [text])[0]) for text, size in zip(texts, sizes, strict=True)
        ],
    }


def _scores(outputs: Sequence[str], targets: Sequence[str]) -> SummaryScores:
    clipped, published = _means(outputs, targets, "clipped"), _means(outputs, targets, "pltrdy")
    return SummaryScores(
        *clipped,
        *published,
        mean_chars=float(np.mean([len(normalize(output)) for output in outputs])),
        empty=sum(not output.strip() for output in outputs),
    )


def _means(outputs: Sequence[str], targets: Sequence[str], compat: Convention) -> tuple[float, float, float]:
    scores = [rouge(output, target, compat) for output, target in zip(outputs, targets, strict=True)]
    return (
        100 * float(np.mean([score.rouge_1.f1 for score in scores])),
        100 * float(np.mean([score.rouge_2.f1 for score in scores])),
        100 * float(np.mean([score.rouge_l.f1 for score in scores])),
    )


def _long_scores(outputs: Sequence[str], targets: Sequence[str]) -> NDArray[np.float64]:
    return np.array([100 * rouge(output, target).rouge_l.f1 for output, target in zip(outputs, targets, strict=True)])


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 2)
    return {key: _rounded(item) for key, item in value.items()} if isinstance(value, dict) else value
