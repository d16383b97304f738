"""The extractor for longer summaries: a network scores runs of clauses, and the best run is the summary's core.

The idea is that of SPACES (Su 2021): extract clauses in their order, and rather one too many than one too few. Reads
the first `MAX_CLAUSES` clauses of a document; computes in fp32 on every device, the network being small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.nn.clause_tagger import ClauseBatch, ClauseTagger, ClauseTaggers, TaggerSettings
from tasks.nn.model_directory import ModelDirectory, ModelDirectoryError
from tasks.summarize.clause_window import MAX_CLAUSES, ClauseWindow, clause_window
from tasks.summarize.run_decoding import Floats, best_run
from tasks.summarize.selection import choose
from tasks.summarize.spaces_extract_story import story_prior, with_end_bonuses
from tasks.summarize.summary import (
    Length,
    Summary,
    check_not_empty,
    max_chars_of,
    own_summary,
    summary_of,
    without_tail,
)

BACKEND = "spaces-extract"
#: The tensor beside the network's: rarity of bigrams, by bucket.
INVERSE_FREQUENCIES = "inverse_frequencies"
#: A long summary takes further clauses of at least this probability; low, because one missed weighs more than one too
#: many (SPACES trains at 0.3 and extracts at 0.2).
KEEP_THRESHOLD = 0.2
#: Changes whenever the same scores would give another summary; part of a model's settings, and so of its digest.
DECODING = 2


@dataclass(frozen=True, slots=True)
class ClauseScores:
    """What the network says of one document of T clauses: runs (T, W), and the probability of every clause, (T,)."""

    runs: Floats
    keep: Floats


class SpacesExtractBackend:
    """One loaded extractor; `tasks.nn.backend.Backend`."""

    def __init__(
        self,
        network: ClauseTagger | ClauseTaggers,
        inverse_frequencies: Floats,
        digest: str,
        device: str,
        *,
        length: Length,
        max_chars: int | None = None,
    ) -> None:
        """Take a network that is trained; raises ValueError for a limit below 1."""
        self.digest = digest
        self._network = network.to(device).float().eval()
        self._inverse_frequencies = inverse_frequencies
        self._device = device
        self._length = length
        self._max_chars = max_chars_of(length, max_chars)

    def windows(self, text: str) -> Sequence[ClauseWindow]:
        """Return one window, or none for a text that is its own summary; raises `UnfitTextError` for an empty one."""
        check_not_empty(text)
        if own_summary(text, self._max_chars) is not None:
            return ()
        return (clause_window(text, self._inverse_frequencies),)

    def forward(self, windows: Sequence[ClauseWindow]) -> Sequence[ClauseScores]:
        """Score the clauses of some documents."""
        with torch.inference_mode():
            runs, keep = self._network(clause_batch(windows).to(self._device))
        all_runs, all_keep = runs.cpu().numpy(), torch.sigmoid(keep).cpu().numpy()
        return [
            ClauseScores(all_runs[row, : window.length], all_keep[row, : window.length])
            for row, window in enumerate(windows)
        ]

    def result(self, text: str, windows: Sequence[ClauseWindow], outputs: Sequence[ClauseScores]) -> Summary:
        """Choose the clauses."""
        if not windows:
            own = own_summary(text, self._max_chars)
            return own if own is not None else Summary((), "")
        chosen = self._chosen(text, windows[0], outputs[0])
        places = [windows[0].spans[index] for index in chosen]
        return summary_of(text, places, self._max_chars, title=self._length == "title")

    def _chosen(self, text: str, window: ClauseWindow, scores: ClauseScores) -> list[int]:
        places = np.array([without_tail(text, span) for span in window.spans], dtype=np.int64)
        prior = story_prior(text, window.spans)
        runs = with_end_bonuses(scores.runs, prior.end_bonuses)
        first, last = best_run(runs, places[:, 0], places[:, 1], self._max_chars, prior.lead_weight, prior.begin_costs)
        core = list(range(first, last))
        if self._length != "long":
            return core
        kept = [index for index in range(window.length) if index in core or scores.keep[index] >= KEEP_THRESHOLD]
        return _filled(text, window, scores.keep, kept, core, self._max_chars)


def _filled(
    text: str, window: ClauseWindow, keep: Floats, kept: list[int], core: list[int], max_chars: int
) -> list[int]:
    """Return the core with as many of the kept clauses as fit, the likeliest that say something new first."""
    pieces = [text[start:end] for start, end in (window.spans[index] for index in kept)]
    inside = [place for place, index in enumerate(kept) if index in core]
    picked = choose(pieces, keep[kept].astype(np.float64), max_chars, chosen=inside)
    return [kept[place] for place in picked]


def clause_batch(windows: Sequence[ClauseWindow]) -> ClauseBatch:
    """Return documents side by side, padded to the longest."""
    longest = max(window.length for window in windows)
    counts = np.concatenate([window.bucket_counts for window in windows])
    return ClauseBatch(
        buckets=torch.from_numpy(np.concatenate([window.buckets for window in windows])),
        offsets=torch.from_numpy(np.cumsum(counts) - counts),
        features=torch.from_numpy(_padded([window.features for window in windows], longest)),
        chars=torch.from_numpy(_padded([window.chars for window in windows], longest)),
        mask=torch.from_numpy(_padded([np.ones(window.length, dtype=np.bool_) for window in windows], longest)),
    )


def _padded(arrays: Sequence[NDArray[Any]], longest: int) -> NDArray[Any]:
    padded = np.zeros((len(arrays), longest, *arrays[0].shape[1:]), dtype=arrays[0].dtype)
    for row, array in enumerate(arrays):
        padded[row, : len(array)] = array
    return padded


def settings_record(settings: TaggerSettings) -> dict[str, Any]:
    """Return what stands in the model's configuration."""
    return {**asdict(settings), "decoding": DECODING, "max_clauses": MAX_CLAUSES}


def open_spaces_extract(
    model: ModelDirectory,
    device: str,
    dtype: torch.dtype,  # noqa: ARG001 - computed in fp32 whatever a device prefers
    length: Length,
    max_chars: int | None = None,
) -> SpacesExtractBackend:
    """Build the network of a checked directory; raises `ModelDirectoryError` when the weights are not its."""
    record = dict(model.config.settings)
    if record.pop("decoding", None) != DECODING or record.pop("max_clauses", None) != MAX_CLAUSES:
        message = f"{model.path}: made for another version of {BACKEND}; train it again"
        raise ModelDirectoryError(message)
    if set(record) != {field.name for field in fields(TaggerSettings)}:
        message = f"{model.path}: its settings are not those of a {BACKEND} model; train it again"
        raise ModelDirectoryError(message)
    network = ClauseTaggers(TaggerSettings(**{**record, "dilations": tuple(record["dilations"])}))
    tensors = {name: tensor.float() for name, tensor in model.tensors().items()}
    try:
        inverse_frequencies = tensors.pop(INVERSE_FREQUENCIES).numpy()
        network.load_state_dict(tensors)
    except (KeyError, RuntimeError) as error:
        message = f"{model.path}: the weights do not fit the settings ({error}); train it again"
        raise ModelDirectoryError(message) from error
    return SpacesExtractBackend(network, inverse_frequencies, model.digest, device, length=length, max_chars=max_chars)
