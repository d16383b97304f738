"""The default summarizer: a network that points at spans of the document. What it gives always stands there.

A title is the span that agrees most with all likely ones. For `short` and `long` every sentence counts by the spans
that begin in it, by TextRank and by its position. A text of any length costs a bounded number of windows.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.nn.model_directory import ModelDirectory, ModelDirectoryError
from tasks.nn.span_pointer import FORBIDDEN, SpanPointer, SpanPointerSettings, best_spans
from tasks.summarize.selection import choose
from tasks.summarize.span_decoding import LikelySpans, central_span
from tasks.summarize.span_features import FEATURES, PairStatistics
from tasks.summarize.span_windows import MAX_WINDOWS, SpanWindow, collate, cut_windows, read_window
from tasks.summarize.summary import Length, Summary, check_not_empty, max_chars_of, own_summary, summary_of
from tasks.text.characters import CharacterVocabulary, folded
from tasks.text.clauses import Span, clauses, sentences
from tasks.text.rouge import normalize
from tasks.text.segmenter import Segmenter, SegmenterOptions, open_segmenter
from tasks.text.textrank import clause_ranks
from tasks.text.word_edges import at_words

BACKEND = "span"
VOCABULARY = "vocab.txt"
#: The name of the pairs' counts among the tensors; all others are the network's.
STATISTICS = "pair_statistics"
#: Spans of a window among which the one is chosen that has most in common with all of them.
CANDIDATES = 100
#: Windows that are read for a title: it is seldom taken from later in a text.
TITLE_WINDOWS = 2
#: What a window's spans lose against those of the first window, in logarithms, for each window before it.
LATER_WINDOW = 4.0
#: Sentences that are weighed for several of them: TextRank takes memory by the square of their number.
MAX_PIECES = 512
#: What a sentence's three scores count, for several sentences: spans, TextRank, how early it stands.
SENTENCE_WEIGHTS = (1.0, 0.5, 2.0)


@dataclass(frozen=True, slots=True)
class SpanOutput:
    """What the network says of one window."""

    likely: LikelySpans
    #: (T,): the logarithm of the share of the spans that begin at each position.
    log_starts: NDArray[np.float32]


@lru_cache(maxsize=1)
def _segmenter() -> Segmenter:
    """Return jieba's words, loaded once a process."""
    # No directory at all: the dictionary is then parsed, and kept in memory only.
    return open_segmenter(SegmenterOptions(), None, Path(os.devnull))


class SpanBackend:
    """One network on one device, for one length of summaries."""

    def __init__(  # noqa: PLR0913 - all that a loaded model consists of, and how it is to be used
        self,
        network: SpanPointer,
        vocabulary: CharacterVocabulary,
        statistics: PairStatistics,
        digest: str,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        *,
        length: Length = "title",
        max_chars: int | None = None,
    ) -> None:
        """Take a loaded network; see `open_span`. Raises ValueError for a limit below 1."""
        self.digest = digest
        self._network = network.to(device).eval()
        self._vocabulary = vocabulary
        self._statistics = statistics
        self._device = torch.device(device)
        self._dtype = dtype
        self._is_title = length == "title"
        self._max_chars = max_chars_of(length, max_chars)

    def windows(self, text: str) -> Sequence[SpanWindow]:
        """Return the windows of a text's beginning; none for one that is short enough to be its own summary.

        Raises `UnfitTextError` for an empty text.
        """
        check_not_empty(text)
        if own_summary(text, self._max_chars):
            return ()
        widest = self._network.settings.max_width
        width = min(self._max_chars, widest) if self._is_title else widest
        places = cut_windows(text, TITLE_WINDOWS if self._is_title else MAX_WINDOWS)
        return [read_window(text, place, self._vocabulary, self._statistics, width) for place in places]

    def forward(self, windows: Sequence[SpanWindow]) -> Sequence[SpanOutput]:
        """Return the likeliest spans of each window, and where its spans begin."""
        batch = collate(windows).to(self._device)
        half = self._dtype != torch.float32
        with torch.inference_mode(), torch.autocast(self._device.type, self._dtype, enabled=half):
            scores = self._network(batch).float()  # (B, T, W)
            starts, ends, values = (found.cpu().numpy() for found in best_spans(scores, CANDIDATES))  # (B, K)
            log_starts = scores.logsumexp(dim=2)  # (B, T)
            totals = log_starts.logsumexp(dim=1, keepdim=True)  # (B, 1)
            log_starts, totals = (log_starts - totals).cpu().numpy(), totals.cpu().numpy()
        outputs = []
        for row, window in enumerate(windows):
            # Forbidden spans are no candidates; they come last.
            count = int((values[row] > FORBIDDEN / 2).sum())
            likely = LikelySpans(starts[row, :count], ends[row, :count], values[row, :count] - totals[row])
            # Where no span may be, no start is likelier than another, whatever the padding.
            by_start = log_starts[row, : window.length] if count else np.zeros(window.length, dtype=np.float32)
            outputs.append(SpanOutput(likely, by_start))
        return outputs

    def result(self, text: str, windows: Sequence[SpanWindow], outputs: Sequence[SpanOutput]) -> Summary:
        """Return the most central span, or the best sentences, of a text."""
        own = own_summary(text, self._max_chars)
        if own:
            return own
        spans = self._title(text, windows, outputs) if self._is_title else self._sentences(text, windows, outputs)
        return summary_of(text, spans, self._max_chars, title=self._is_title)

    def _title(self, text: str, windows: Sequence[SpanWindow], outputs: Sequence[SpanOutput]) -> list[Span]:
        worths = [
            float(output.likely.log_shares[0]) - LATER_WINDOW * index if len(output.likely.starts) else -np.inf
            for index, output in enumerate(outputs)
        ]
        best = int(np.argmax(worths))
        if worths[best] == -np.inf:
            # Nothing but marks or signs, such as emoji: the beginning, as it stands.
            return clauses(text[: windows[0].length])[:1]
        window, likely = windows[best], outputs[best].likely
        chosen = central_span(folded(text[window.offset : window.offset + window.length]), likely)
        place = (window.offset + int(likely.starts[chosen]), window.offset + int(likely.ends[chosen]))
        # The network points at characters; a title that begins inside a word reads as broken.
        return [at_words(text, place, (window.offset, window.offset + window.length), _segmenter().cut)]

    def _sentences(self, text: str, windows: Sequence[SpanWindow], outputs: Sequence[SpanOutput]) -> list[Span]:
        read = text[: windows[-1].offset + windows[-1].length]
        places = sentences(read)
        if min(end - start for start, end in places) > self._max_chars:
            places = clauses(read)
        places = places[:MAX_PIECES]
        pieces = [read[start:end] for start, end in places]
        shares = np.concatenate(
            [output.log_starts - LATER_WINDOW * index / MAX_WINDOWS for index, output in enumerate(outputs)]
        )
        by_spans = [float(np.logaddexp.reduce(shares[start:end])) for start, end in places]
        by_rank = clause_ranks([normalize(piece) for piece in pieces])
        by_place = -np.log1p(np.arange(len(places)))
        scores = sum(
            weight * _scaled(np.asarray(column, dtype=np.float64))
            for weight, column in zip(SENTENCE_WEIGHTS, (by_spans, by_rank, by_place), strict=True)
        )
        chosen = choose(pieces, np.asarray(scores), self._max_chars)
        # Where not even one fits, the best is cut.
        return [places[index] for index in chosen or [int(np.argmax(scores))]]


def open_span(
    model: ModelDirectory, device: str, dtype: torch.dtype, length: Length, max_chars: int | None
) -> SpanBackend:
    """Load a model that was opened; raises `ModelDirectoryError` when its parts do not belong together."""
    try:
        vocabulary = CharacterVocabulary.from_text(model.read_text(VOCABULARY))
        settings = settings_of(model.config.settings, vocabulary)
        tensors = {name: tensor.float() for name, tensor in model.tensors().items()}
        table = tensors.pop(STATISTICS).numpy()
        counted = (int(model.config.settings["texts"]), int(model.config.settings["titles"]))
        statistics = PairStatistics(*counted, table)
        network = SpanPointer(settings)
        network.load_state_dict(tensors)
    except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        message = f"{model.path}: no span model of this version ({type(error).__name__}: {error}); train it anew"
        raise ModelDirectoryError(message) from error
    return SpanBackend(network, vocabulary, statistics, model.digest, device, dtype, length=length, max_chars=max_chars)


def settings_of(record: Mapping[str, Any], vocabulary: CharacterVocabulary) -> SpanPointerSettings:
    """Return the sizes of a network as its configuration has them."""
    sizes = dict(record["network"])
    sizes["dilations"] = tuple(sizes["dilations"])
    return SpanPointerSettings(characters=vocabulary.size, features=FEATURES, **sizes)


def settings_record(settings: SpanPointerSettings, statistics: PairStatistics) -> dict[str, Any]:
    """Return what `settings_of` and `open_span` read."""
    sizes = asdict(settings)
    del sizes["characters"], sizes["features"]
    return {"network": sizes, "texts": statistics.texts, "titles": statistics.titles}


def _scaled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values moved and stretched to 0 … 1."""
    low, high = values.min(), values.max()
    scaled: NDArray[np.float64] = (values - low) / (high - low) if high > low else np.zeros_like(values)
    return scaled
