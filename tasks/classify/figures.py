"""F1 of decisions, by counting: what training and blending judge by, many times a second.

`evaluate.py` computes the figures that are shown, by scikit-learn; a test holds the two together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def micro_and_macro_f1(decided: NDArray[Any], targets: NDArray[Any]) -> tuple[float, float]:
    """Return both F1 of decisions (N, L) in per cent.

    Macro is the mean over all labels of the set; a label that is neither decided nor right anywhere counts as 0.
    """
    decided, right = decided > 0, targets > 0
    both = (decided & right).sum(axis=0)
    either = decided.sum(axis=0) + right.sum(axis=0)
    of_labels = 2.0 * both / np.maximum(either, 1)
    return 100.0 * 2.0 * float(both.sum()) / max(1.0, float(either.sum())), 100.0 * float(of_labels.mean())
