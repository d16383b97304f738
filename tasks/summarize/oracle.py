"""The best that can be taken from a document if its summary is known: a bound for what extraction can reach.

For a title the contiguous span with the best mean of ROUGE-1, 2 and L; for longer summaries clauses, chosen one by one
for the best mean of ROUGE-1 and 2 as long as one helps (the greedy oracle of Nallapati et al. 2017, "SummaRuNNer").
Both are F1, which keeps the extract near the reference's length. No system may use it: it reads the reference.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from tasks.summarize.span_targets import MAX_TITLE_CHARS, span_scores
from tasks.summarize.summary import Length
from tasks.text.characters import folded
from tasks.text.clauses import clauses
from tasks.text.rouge import ngrams, normalize

#: Characters of a document that are searched, from the beginning; the rest of a longer one is not.
MAX_CHARS = 20_000
#: Characters of a document in which a span may begin.
MAX_SPAN_CHARS = 4096


def oracle(text: str, target: str, length: Length) -> str:
    """Return the best extract for a reference."""
    return best_span(text, target) if length == "title" else best_clauses(text, target)


def best_span(text: str, target: str) -> str:
    """Return the best span, at most twice as long as the reference; of a reference the first 63 characters count."""
    read = text[:MAX_SPAN_CHARS]
    wanted = folded(target)
    if not read or not target.strip():
        return ""
    widths = min(len(read), 2 * min(len(wanted), MAX_TITLE_CHARS))
    scores = span_scores(folded(read), wanted, widths).mean(axis=0)
    start, width = divmod(int(np.argmax(scores)), widths)
    return read[start : start + width + 1].strip()


def best_clauses(text: str, target: str) -> str:
    """Return the clauses in their order."""
    pieces = [text[start:end] for start, end in clauses(text[:MAX_CHARS])]
    counts = [_counts(normalize(piece)) for piece in pieces]
    goal = _counts(normalize(target))
    chosen: list[int] = []
    so_far: tuple[Counter[str], ...] = (Counter(), Counter())
    best = 0.0
    while True:
        open_ = [place for place in range(len(pieces)) if place not in chosen]
        scored = [(_score(_joined(so_far, counts[place]), goal), -place) for place in open_]
        score, place = max(scored, default=(0.0, 0))
        if score <= best:
            return "".join(pieces[place] for place in sorted(chosen)).strip()
        best = score
        chosen.append(-place)
        so_far = _joined(so_far, counts[-place])


def _counts(piece: str) -> tuple[Counter[str], ...]:
    return tuple(Counter(ngrams(piece, size)) for size in (1, 2))


def _joined(first: Sequence[Counter[str]], second: Sequence[Counter[str]]) -> tuple[Counter[str], ...]:
    return tuple(one + other for one, other in zip(first, second, strict=True))


def _score(found: Sequence[Counter[str]], goal: Sequence[Counter[str]]) -> float:
    """Return the mean F1 of single characters and pairs; pairs across two clauses are not counted."""
    scores = [
        2 * (one & wanted).total() / max(1, one.total() + wanted.total())
        for one, wanted in zip(found, goal, strict=True)
    ]
    return sum(scores) / len(scores)
