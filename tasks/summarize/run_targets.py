"""How good every run of a document's clauses would be as its summary: the targets that the extractor is trained on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tasks.text.rouge import normalize

#: Characters of the longest run that is a candidate.
MAX_RUN_CHARS = 300
#: A run longer than the written summary by more than this factor counts as sharing nothing.
MAX_LENGTH_FACTOR = 4


def run_targets(pieces: Sequence[str], summary: str, max_width: int) -> NDArray[np.float32]:
    """Return character ROUGE-L F1 of every run of normalized clauses, (T, max_width); -1 where there is no run.

    Entry (t, w) is the run of w + 1 clauses from t on. One bit-parallel row (see `tasks.text.rouge.lcs_length`) goes on
    from a run to the next longer one.
    """
    wanted = normalize(summary)
    positions: dict[str, int] = {}
    for position, character in enumerate(wanted):
        positions[character] = positions.get(character, 0) | 1 << position
    targets = np.full((len(pieces), max_width), -1.0, dtype=np.float32)
    for first in range(len(pieces)):
        _fill_runs(targets[first], pieces[first : first + max_width], positions, len(wanted))
    return targets


def _fill_runs(
    targets: NDArray[np.float32], pieces: Sequence[str], positions: dict[str, int], wanted_chars: int
) -> None:
    """Write the targets of all runs that begin at one clause."""
    everything = (1 << wanted_chars) - 1
    row, chars = everything, 0
    for width, piece in enumerate(pieces):
        chars += len(piece)
        if chars > MAX_RUN_CHARS and width:
            break
        if chars > MAX_LENGTH_FACTOR * wanted_chars:
            targets[width] = 0.0
            continue
        for character in piece:
            matches = row & positions.get(character, 0)
            row = (row + matches | row - matches) & everything
        if chars:
            targets[width] = 2.0 * (wanted_chars - row.bit_count()) / (chars + wanted_chars)
