"""Measures a classifier on labelled texts with scikit-learn, beside a linear baseline that is fitted in the same run.

Every figure is computed here and now; none is read from anywhere. Prints nothing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import f1_score, label_ranking_average_precision_score, precision_recall_fscore_support
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import LinearSVC

from tasks.classify.backends import Classifier
from tasks.classify.label_set import LabelSet, Scores
from tasks.classify.training_data import LabelledTexts
from tasks.nn.backend import UnfitTextError
from tasks.nn.offline import DEFAULT_TOKEN_BUDGET, run_all

#: Of how many of the labels with the highest scores the right share is told.
RANKS = (1, 3, 5)
#: What a score is where the model gave none: below every threshold.
NO_SCORE = -1e9
#: The baseline's features: characters 1 to 3 in texts, weighted by TF-IDF with the logarithm of counts.
N_GRAMS = (1, 3)
#: Texts in which a feature of the baseline occurs, at least.
LEAST_TEXTS = 2


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Figures in per cent, and a row for each label."""

    figures: dict[str, Any]
    labels: list[dict[str, Any]]


def evaluate_classifier(
    backend: Classifier,
    data: LabelledTexts,
    train: LabelledTexts | None = None,
    token_budget: int = DEFAULT_TOKEN_BUDGET,
) -> Evaluation:
    """Measure a classifier; with the texts it was trained on, the baseline is fitted on these and measured as well."""
    started = time.perf_counter()
    results = run_all(backend, data.texts, token_budget)
    seconds = time.perf_counter() - started
    label_set = backend.label_set
    missing = np.full(len(label_set.labels), NO_SCORE, dtype=np.float32)
    scores = np.stack([missing if isinstance(one, UnfitTextError) else one for one in results])
    decided = _decided(backend, results)
    targets = label_set.targets(data.labels)
    figures: dict[str, Any] = {
        "texts": len(data),
        "failed": sum(isinstance(one, UnfitTextError) for one in results),
        "texts_per_s": round(len(data) / seconds, 1),
        "unknown_labels": sorted(set(data.names) - set(label_set.names)),
        "model": {**decision_figures(decided, targets), **ranking_figures(scores, targets)},
    }
    if train is not None:
        figures["baseline"] = baseline_figures(label_set, train, data)
    return Evaluation(figures, label_table(decided, targets, label_set.names))


def _decided(backend: Classifier, results: Sequence[Scores | UnfitTextError]) -> NDArray[np.bool_]:
    decided = np.zeros((len(results), len(backend.label_set.labels)), dtype=np.bool_)
    for row, scores in enumerate(results):
        if not isinstance(scores, UnfitTextError):
            decided[row, [position for position, _ in backend.decide(scores)]] = True
    return decided


def decision_figures(decided: NDArray[Any], targets: NDArray[Any]) -> dict[str, float]:
    """Return micro and macro F1 of decisions (N, L).

    `macro_f1` is the mean over all labels of the set, one that never occurs counting as 0; `macro_f1_occurring` is the
    mean over those that occur in the texts.
    """
    occurs = targets.sum(axis=0) > 0
    of_labels = f1_score(targets, decided, average=None, zero_division=0)
    return {
        "micro_f1": _percent(f1_score(targets, decided, average="micro", zero_division=0)),
        "macro_f1": _percent(f1_score(targets, decided, average="macro", zero_division=0)),
        "macro_f1_occurring": _percent(of_labels[occurs].mean()) if occurs.any() else 0.0,
        "exact": _percent((decided.astype(bool) == targets.astype(bool)).all(axis=1).mean()),
    }


def ranking_figures(scores: Scores, targets: Scores) -> dict[str, float]:
    """Return how well scores (N, L) rank the labels, over the texts that have a label: precision at k, and LRAP."""
    labelled = targets.sum(axis=1) > 0
    if not labelled.any():
        return {}
    ranked = np.argsort(-scores[labelled], axis=1, kind="stable")
    hits = np.take_along_axis(targets[labelled], ranked, axis=1)
    figures = {f"precision_at_{k}": _percent(hits[:, :k].mean()) for k in RANKS if k <= hits.shape[1]}
    lrap = label_ranking_average_precision_score(targets[labelled], scores[labelled])
    return {**figures, "lrap": _percent(lrap)}


def label_table(decided: NDArray[Any], targets: NDArray[Any], names: Sequence[str]) -> list[dict[str, Any]]:
    """Return a row for each label: how often it occurs and is decided, precision, recall and F1."""
    precision, recall, f1, support = precision_recall_fscore_support(targets, decided, zero_division=0)
    return [
        {
            "label": name,
            "texts": int(support[place]),
            "decided": int(decided[:, place].sum()),
            "precision": _percent(precision[place]),
            "recall": _percent(recall[place]),
            "f1": _percent(f1[place]),
        }
        for place, name in enumerate(names)
    ]


def baseline_figures(label_set: LabelSet, train: LabelledTexts, data: LabelledTexts) -> dict[str, Any]:
    """Fit TF-IDF of character n-grams and one linear support vector machine a label, and measure them."""
    started = time.perf_counter()
    vectorizer = TfidfVectorizer(analyzer="char", ngram_range=N_GRAMS, min_df=LEAST_TEXTS, sublinear_tf=True)
    features = vectorizer.fit_transform(train.texts)
    targets = label_set.targets(train.labels)
    # A label that no text of these has cannot be fitted, and is never decided.
    kept = np.flatnonzero((targets.sum(axis=0) > 0) & (targets.sum(axis=0) < len(targets)))
    machine = OneVsRestClassifier(LinearSVC(random_state=0)).fit(features, targets[:, kept])
    scores = np.full((len(data), targets.shape[1]), NO_SCORE, dtype=np.float32)
    scores[:, kept] = machine.decision_function(vectorizer.transform(data.texts)).reshape(len(data), len(kept))
    seconds = time.perf_counter() - started
    wanted = label_set.targets(data.labels)
    figures = {**decision_figures(scores > 0, wanted), **ranking_figures(scores, wanted)}
    return {"name": "TF-IDF of characters 1 to 3, LinearSVC", **figures, "seconds": round(seconds, 1)}


def _percent(share: Any) -> float:
    return round(100.0 * float(share), 2)
