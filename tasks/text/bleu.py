"""BLEU on the characters of texts with one reference each: a mean over texts, and one figure for all of them together.

The measure is that of Papineni et al. 2002 ("BLEU: a Method for Automatic Evaluation of Machine Translation"): the
geometric mean of the clipped precisions of 1- to 4-grams, times the brevity penalty exp(1 - r / c) where the candidate
(c characters) is shorter than its reference (r). An order without a match counts as 0.1 of one (method 1 of Chen &
Cherry 2014), as in published tables of Chinese titles, which give the mean over texts. Texts must be normalized as for
ROUGE (`tasks.text.rouge.normalize`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from tasks.text.rouge import ngrams

ORDERS = (1, 2, 3, 4)
#: What an order without a match counts as.
EPSILON = 0.1


def bleu(candidate: str, reference: str) -> float:
    """Return the BLEU of one text, 0 … 1."""
    return corpus_bleu([candidate], [reference])


def mean_bleu(candidates: Sequence[str], references: Sequence[str]) -> float:
    """Return the mean of the texts' BLEU, 0 … 1."""
    pairs = zip(candidates, references, strict=True)
    return math.fsum(bleu(candidate, reference) for candidate, reference in pairs) / max(1, len(candidates))


def corpus_bleu(candidates: Sequence[str], references: Sequence[str]) -> float:
    """Return the BLEU of all texts together, 0 … 1: n-grams and lengths are summed before anything is divided."""
    matches, totals = dict.fromkeys(ORDERS, 0), dict.fromkeys(ORDERS, 0)
    for candidate, reference in zip(candidates, references, strict=True):
        for order in ORDERS:
            counts, wanted = Counter(ngrams(candidate, order)), Counter(ngrams(reference, order))
            matches[order] += (counts & wanted).total()
            # A text too short for an order counts as one n-gram that was missed.
            totals[order] += max(1, counts.total())
    if not matches[1]:
        return 0.0
    precisions = [(matches[order] or EPSILON) / totals[order] for order in ORDERS]
    written, wanted_size = sum(map(len, candidates)), sum(map(len, references))
    brevity = 1.0 if written > wanted_size else math.exp(1 - wanted_size / written)
    return brevity * math.exp(math.fsum(map(math.log, precisions)) / len(ORDERS))
