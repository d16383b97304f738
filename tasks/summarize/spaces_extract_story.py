"""What holds of news stories before any network has read them: three numbers that the choice of a run takes in.

The beginning counts, because what matters most stands first; a run does not begin with where the story comes from; and
it rather ends where a sentence does. A story is a text of one paragraph. Chooses nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.text.clauses import Span, sentences

Floats = NDArray[np.float32]

#: How much the beginning counts, beside 1 for all that the network takes for likely. This and the next two were chosen
#: on the train part of `legal_news`, each third judged by a network that had learned from the others.
LEAD_WEIGHT = 0.5
#: What a run that begins with a source loses, of an agreement that is at most 1 + `LEAD_WEIGHT`.
SOURCE_COST = 0.3
#: What is added to the score of a run that ends a sentence; scores are logarithms of likelihoods.
SENTENCE_BONUS = 0.5
#: Sources stand at the beginning: further clauses that look like one are part of what is told.
SOURCE_CLAUSES = 4
#: A former headline, a reporter, an agency's dateline, a message that others gave out.
_SOURCE = re.compile(r"原标题|记者|[报网社端]讯|[0-9]日[^，,。]{0,4}[电讯]|消息[，,]")


@dataclass(frozen=True, slots=True)
class StoryPrior:
    """What holds of the T clauses of a text."""

    lead_weight: float
    #: (T,) what a run loses that begins with the clause.
    begin_costs: Floats
    #: (T,) what is added to the score of a run that ends with the clause.
    end_bonuses: Floats


def story_prior(text: str, spans: Sequence[Span]) -> StoryPrior:
    """Return what holds of a text's clauses at `spans`; nothing of a text that has paragraphs."""
    nothing = np.zeros(len(spans), dtype=np.float32)
    if not spans or "\n" in text.strip():
        return StoryPrior(0.0, nothing, nothing)
    sentence_ends = {end for _, end in sentences(text[: spans[-1][1]])}
    ends = np.array([end in sentence_ends for _, end in spans], dtype=np.float32)
    is_source = [place < SOURCE_CLAUSES and _names_source(text, span) for place, span in enumerate(spans)]
    return StoryPrior(LEAD_WEIGHT, SOURCE_COST * np.array(is_source, dtype=np.float32), SENTENCE_BONUS * ends)


def _names_source(text: str, span: Span) -> bool:
    return _SOURCE.search(text, *span) is not None


def with_end_bonuses(runs: Floats, bonuses: Floats) -> Floats:
    """Return the scores of runs (T, W), each with the bonus of its last clause; run (t, w) ends with clause t + w."""
    count, width = runs.shape
    # Runs beyond the end are none, whatever is added to them.
    padded = np.concatenate([bonuses, np.zeros(width, dtype=np.float32)])
    added: Floats = runs + padded[np.arange(count)[:, None] + np.arange(width)]
    return added
