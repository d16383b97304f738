"""Which run of clauses becomes the summary, by a network's scores for all runs. Knows no network and no text."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Places = NDArray[np.int64]

#: The best runs by score among which one is chosen, and by which it is judged.
CANDIDATES = 150
#: Scores are multiplied by this before they become probabilities: chosen on the dev parts of two data sets.
SHARPNESS = 2.0
#: Scores below this stand for no run at all.
MIN_SCORE = -1e8


def best_run(
    scores: Floats,
    starts: Places,
    ends: Places,
    max_chars: int,
    lead_weight: float = 0.0,
    begin_costs: Floats | None = None,
) -> tuple[int, int]:
    """Return the first clause and the one behind the last of the run to choose.

    `scores` is (T, W), for the run of w + 1 clauses from t on; clause t stands at `starts[t]` to `ends[t]`. The choice
    is that of minimum Bayes risk (Goel & Byrne 2000): of the runs that fit, the one that on average shares most with
    what the scores take for the best, whether that fits or not; F1 of characters by position. Where no run fits
    `max_chars`, the best single clause is returned. `lead_weight` is how much the first `max_chars` characters count as
    one more likely run, beside 1 for all others together; `begin_costs` (T,) is what a run loses of that share by its
    first clause.
    """
    firsts, widths = np.nonzero(scores > MIN_SCORE)
    order = np.argsort(-scores[firsts, widths], kind="stable")
    firsts, widths = firsts[order], widths[order]
    begins, stops = starts[firsts], ends[firsts + widths]
    fits = stops - begins <= max_chars
    fitting = np.union1d(np.flatnonzero(fits)[:CANDIDATES], np.flatnonzero(fits & (firsts == 0)))
    if not fitting.size:
        first = int(np.argmax(scores[:, 0]))
        return first, first + 1
    likely = slice(0, CANDIDATES)
    values = scores[firsts[likely], widths[likely]].astype(np.float64)
    weights = np.exp(SHARPNESS * (values - values.max()))
    weights = np.append(weights / weights.sum(), lead_weight)
    likely_begins = np.append(begins[likely], starts[0])
    likely_stops = np.append(stops[likely], starts[0] + max_chars)
    overlaps = _overlaps(begins[fitting], stops[fitting], likely_begins, likely_stops)
    costs = begin_costs[firsts[fitting]] if begin_costs is not None else 0.0
    chosen = fitting[int(np.argmax(overlaps @ weights - costs))]
    return int(firsts[chosen]), int(firsts[chosen] + widths[chosen]) + 1


def _overlaps(begins: Places, stops: Places, other_begins: Places, other_stops: Places) -> NDArray[np.float64]:
    """Return F1 of the characters that stretches share with others, (N, M)."""
    shared = np.minimum(stops[:, None], other_stops) - np.maximum(begins[:, None], other_begins)
    sizes = (stops - begins)[:, None] + (other_stops - other_begins)
    overlaps: NDArray[np.float64] = 2.0 * np.maximum(shared, 0) / np.maximum(sizes, 1)
    return overlaps
