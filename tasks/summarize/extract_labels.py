"""Which clauses of a document a written summary was made of, for training an extractor. Needs no model.

The recursion of SPACES (Su 2021, kexue.fm 8046): the longest clause of the summary takes the clause of the document
that is most like it; what stands before it in the summary is matched before that place, what follows behind it. So the
order is kept, and a clause may be matched twice.
"""

from __future__ import annotations

from collections.abc import Sequence

from tasks.text.clauses import clauses
from tasks.text.rouge import ngrams, normalize, rouge_of_normalized

#: How alike two clauses are: weights of ROUGE-1, ROUGE-2 and ROUGE-L, as in SPACES.
WEIGHTS = (0.2, 0.4, 0.4)
#: A clause of a summary that nothing resembles by as much was not taken from the document.
MIN_LIKENESS = 0.15


def extract_labels(pieces: Sequence[str], summary: str) -> list[int]:
    """Return the indices of the normalized clauses that the summary resembles, ascending, each once."""
    grams = [frozenset(ngrams(piece, 2)) for piece in pieces]
    wanted = [normalize(summary[start:end]) for start, end in clauses(summary)]
    found: set[int] = set()
    # (first, behind the last) of the summary's clauses, and of the document's.
    waiting = [(0, len(wanted), 0, len(pieces))]
    while waiting:
        first, last, low, high = waiting.pop()
        if first >= last or low >= high:
            continue
        middle = max(range(first, last), key=lambda index: len(wanted[index]))
        own = frozenset(ngrams(wanted[middle], 2))
        # Clauses without a common bigram are not alike, and need no closer look.
        scores = {index: likeness(pieces[index], wanted[middle]) for index in range(low, high) if own & grams[index]}
        best = max(scores, key=scores.__getitem__, default=low)
        if scores.get(best, 0.0) < MIN_LIKENESS:
            # No anchor: its neighbours may still match anywhere in this stretch.
            waiting += [(first, middle, low, high), (middle + 1, last, low, high)]
            continue
        found.add(best)
        waiting += [(first, middle, low, best + 1), (middle + 1, last, best, high)]
    return sorted(found)


def likeness(piece: str, wanted: str) -> float:
    """Return how alike two normalized clauses are, 0 … 1."""
    scores = rouge_of_normalized(piece, wanted)
    return WEIGHTS[0] * scores.rouge_1.f1 + WEIGHTS[1] * scores.rouge_2.f1 + WEIGHTS[2] * scores.rouge_l.f1
