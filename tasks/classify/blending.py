"""Chooses on the dev part how the two parts of a classifier are added up, and what makes probabilities of the sum.

Three numbers in all, for every label the same: more would be learned by heart from a small dev part. Trains nothing.
"""

from __future__ import annotations

import itertools

import numpy as np

from tasks.classify.figures import micro_and_macro_f1
from tasks.classify.label_set import Scores
from tasks.classify.text_cnn_backend import Blend

#: Of the separators' margins, beside the network's logits.
WEIGHTS = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0)
#: How far the separators' margins are moved, so that fewer right labels are missed.
MARGINS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
#: … and the network's logits.
SHIFTS = (0.0, 0.25, 0.5, 0.75)
#: Candidates for the scale of probabilities.
SCALES = tuple(np.geomspace(0.1, 8.0, 60).tolist())


def choose_blend(network: Scores, margins: Scores, targets: Scores) -> Blend:
    """Return the blend with the best mean of micro and macro F1; all three are (N, L)."""
    best, chosen = -1.0, (0.0, 0.0)
    for weight, margin, shift in itertools.product(WEIGHTS, MARGINS, SHIFTS):
        if weight == 0.0 and margin > 0.0:
            continue
        moved = weight * margin + shift
        figure = sum(micro_and_macro_f1(network + weight * margins + moved > 0, targets))
        if figure > best:
            best, chosen = figure, (weight, moved)
    logits = (network + chosen[0] * margins + chosen[1]).astype(np.float32)
    return Blend(chosen[0], chosen[1], choose_scale(logits, targets))


def choose_scale(logits: Scores, targets: Scores) -> float:
    """Return the scale at which 1 / (1 + exp(-scale · logit)) is nearest to what came true, by cross-entropy."""
    signed = np.where(targets > 0, logits, -logits).astype(np.float64)
    losses = [float(np.logaddexp(0.0, -scale * signed).mean()) for scale in SCALES]
    return float(SCALES[int(np.argmin(losses))])
