"""Measures a summarizer by ROUGE and BLEU against people's summaries, beside baselines computed in the same run.

The baselines are lead and clause TextRank. All figures are per cent of clipped character ROUGE F1 or BLEU, means over
documents; a document without a summary counts 0. Thoroughly: also the best extract there is, how the summaries of each
system are made of their documents, and what they invent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.nn.backend import Backend, UnfitTextError
from tasks.nn.offline import DEFAULT_TOKEN_BUDGET, run_all
from tasks.summarize.lead import LeadBackend
from tasks.summarize.oracle import oracle
from tasks.summarize.summary import Length, Summary, length_named, max_chars_of
from tasks.summarize.summary_measures import InventiveCase, Source, SummaryMeasures, measure, worst_cases
from tasks.summarize.textrank import TextRankBackend
from tasks.summarize.training_data import Pair
from tasks.text.bleu import corpus_bleu, mean_bleu
from tasks.text.rouge import Convention, normalize, rouge

#: Resamples of the documents for an interval of a difference (Efron & Tibshirani 1993, chapter 13).
BOOTSTRAP_SAMPLES = 1000
#: The interval holds this part of the resamples.
BOOTSTRAP_SHARE = 0.95
#: Documents that are summarized before progress is told again.
SLICE_DOCUMENTS = 128
#: Cases of invention that are kept when nobody says how many.
WORST = 10
#: Told what is being done, for how many documents it is done, and for how many it will be.
OnProgress = Callable[[str, int, int], None]


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
    #: See `tasks.text.bleu`: the mean over documents, as published tables of titles have it, and that of all together.
    bleu: float
    bleu_corpus: float
    mean_chars: float
    #: Documents for which there was no summary.
    empty: int
    #: None unless they were examined thoroughly.
    measures: SummaryMeasures | None = None


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
    #: The best extract, for which the reference was read (`tasks.summarize.oracle`); and the references themselves.
    oracle: SummaryScores | None = None
    reference: SummaryMeasures | None = None
    #: The system's summaries that say what their documents do not, the worst first.
    worst: Sequence[InventiveCase] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON can hold it, figures rounded to two places."""
        rounded: dict[str, Any] = _rounded(asdict(self))
        return rounded


def evaluate_summarizer(  # noqa: PLR0913 - what to measure on what, and how thoroughly
    backend: Backend[Any, Any, Summary],
    pairs: Sequence[Pair],
    *,
    length: Length = "title",
    max_chars: int | None = None,
    token_budget: int = DEFAULT_TOKEN_BUDGET,
    seed: int = 0,
    thorough: bool = False,
    worst: int = WORST,
    on_progress: OnProgress | None = None,
) -> SummaryEvaluation:
    """Summarize the texts of all pairs and compare; the baselines get the length and limit named here.

    The backend must have been made with the same length and limit. Raises ValueError when there are no pairs.
    """
    if not pairs:
        message = "there is nothing to evaluate on: no pairs of a text and a summary"
        raise ValueError(message)
    limit = max_chars_of(length, max_chars)
    tell = on_progress or (lambda *_: None)
    outputs = list(_summaries(backend, pairs, token_budget, tell))
    tell("baselines", 0, len(pairs))
    rivals = _baselines(pairs, outputs, length, limit)
    targets = [pair.target for pair in pairs]
    system = _long_scores(outputs, targets)
    generator = np.random.default_rng(seed)
    found = SummaryEvaluation(
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
    return _examined(found, pairs, {"system": outputs, **rivals}, worst, tell) if thorough else found


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


def _summaries(
    backend: Backend[Any, Any, Summary], pairs: Sequence[Pair], token_budget: int, tell: OnProgress
) -> Iterator[str]:
    for start in range(0, len(pairs), SLICE_DOCUMENTS):
        tell("summaries", start, len(pairs))
        texts = [pair.text for pair in pairs[start : start + SLICE_DOCUMENTS]]
        yield from map(_text, run_all(backend, texts, token_budget))


def _examined(
    found: SummaryEvaluation, pairs: Sequence[Pair], written: Mapping[str, Sequence[str]], worst: int, tell: OnProgress
) -> SummaryEvaluation:
    """Return the evaluation with the oracle, and with the measures of everything that was written."""
    tell("oracle", 0, len(pairs))
    targets = [pair.target for pair in pairs]
    best = [oracle(pair.text, pair.target, length_named(found.length)) for pair in pairs]
    sources = [Source(pair.text) for pair in pairs]
    measures, claims = {}, {}
    for name, texts in {**written, "oracle": best, "reference": targets}.items():
        tell(f"measures of {name}", 0, len(pairs))
        measures[name], claims[name] = measure(texts, sources)
    return replace(
        found,
        system=replace(found.system, measures=measures["system"]),
        baselines={name: replace(scores, measures=measures[name]) for name, scores in found.baselines.items()},
        oracle=replace(_scores(best, targets), measures=measures["oracle"]),
        reference=measures["reference"],
        worst=worst_cases(written["system"], sources, claims["system"], worst),
    )


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
    normalized = [normalize(output) for output in outputs], [normalize(target) for target in targets]
    return SummaryScores(
        *clipped,
        *published,
        bleu=100 * mean_bleu(*normalized),
        bleu_corpus=100 * corpus_bleu(*normalized),
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
