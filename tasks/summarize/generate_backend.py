"""Summaries that our own generator writes, character by character, with a beam search. They have no places in the text.

What the vocabulary lacks is copied from the text. Of a text the first window is read. A faithful one writes no number
that this window does not have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch

from tasks.nn.beam_search import SearchOptions, beam_search
from tasks.nn.model_directory import ModelDirectory, ModelDirectoryError
from tasks.nn.pointer_generator import PointerGenerator, PointerGeneratorSettings
from tasks.summarize.generated import generated_summary
from tasks.summarize.number_limits import NumberLimits, WritableTokens
from tasks.summarize.source_windows import SourceWindow, collate_sources, read_source, text_of
from tasks.summarize.span_backend import STATISTICS, VOCABULARY
from tasks.summarize.span_features import FEATURES, PairStatistics
from tasks.summarize.summary import Length, Summary, check_not_empty, max_chars_of, own_summary
from tasks.text.characters import FIRST_CHARACTER, CharacterVocabulary

BACKEND = "generate"
BEAMS = 3
#: Characters of the shortest text that is written.
MIN_CHARS = 4
#: No sequence of so many characters is written twice.
UNREPEATED = 4


class GenerateBackend:
    """One network on one device."""

    def __init__(  # noqa: PLR0913 - all that a loaded model consists of, and how it is to be used
        self,
        network: PointerGenerator,
        vocabulary: CharacterVocabulary,
        statistics: PairStatistics,
        digest: str,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        *,
        max_chars: int,
        beams: int = BEAMS,
        faithful: bool = False,
    ) -> None:
        """Take a loaded network; see `open_generate`."""
        self.digest = digest
        self._network = network.to(device).eval()
        self._vocabulary = vocabulary
        self._statistics = statistics
        self._device = torch.device(device)
        self._dtype = dtype
        self._max_chars = max_chars
        known = dict(enumerate(vocabulary.characters, start=FIRST_CHARACTER))
        self._known = WritableTokens.of(known) if faithful else None
        settings = network.settings
        self._search = SearchOptions(
            settings.start, settings.end, max_chars, min(MIN_CHARS, max_chars), beams, unrepeated=UNREPEATED
        )

    def windows(self, text: str) -> Sequence[SourceWindow]:
        """Return the first window; none for a text that is short enough to be its own summary.

        Raises `UnfitTextError` for an empty text.
        """
        check_not_empty(text)
        if own_summary(text, self._max_chars):
            return ()
        return [read_source(text, self._vocabulary, self._statistics, self._network.settings)]

    def forward(self, windows: Sequence[SourceWindow]) -> Sequence[str]:
        """Return what is written about each window."""
        settings = self._network.settings
        source = collate_sources(windows, settings).to(self._device)
        half = self._dtype != torch.float32
        with torch.inference_mode(), torch.autocast(self._device.type, self._dtype, enabled=half):
            state = self._network.begin(source, self._search.beams)
            limits = [self._limits(window) for window in windows]
            found = beam_search(self._network, state, len(windows), self._search, limits, self._device)
        return [
            text_of(
                limit.kept(hypotheses[0].tokens) if limit else hypotheses[0].tokens, window, self._vocabulary, settings
            )
            for window, hypotheses, limit in zip(windows, found, limits, strict=True)
        ]

    def _limits(self, window: SourceWindow) -> NumberLimits | None:
        if self._known is None:
            return None
        settings = self._network.settings
        unknown = dict(enumerate(map(chr, window.unknown.tolist()), start=settings.size))
        writable = self._known + WritableTokens.of(unknown)
        return NumberLimits(window.piece, writable, settings.end, self._search.max_length)

    def result(self, text: str, windows: Sequence[SourceWindow], outputs: Sequence[str]) -> Summary:
        """Return the summary; raises `UnfitTextError` when nothing was written."""
        own = None if windows else own_summary(text, self._max_chars)
        return own or generated_summary(outputs[0], self._max_chars)


def open_generate(
    model: ModelDirectory,
    device: str,
    dtype: torch.dtype,
    length: Length,
    max_chars: int | None,
    *,
    beams: int | None = None,
    faithful: bool = False,
) -> GenerateBackend:
    """Load a model that was opened; raises `ModelDirectoryError` when its parts do not belong together."""
    try:
        vocabulary = CharacterVocabulary.from_text(model.read_text(VOCABULARY))
        tensors = {name: tensor.float() for name, tensor in model.tensors().items()}
        counted = (int(model.config.settings["texts"]), int(model.config.settings["titles"]))
        statistics = PairStatistics(*counted, tensors.pop(STATISTICS).numpy())
        network = PointerGenerator(settings_of(model.config.settings, vocabulary))
        network.load_state_dict(tensors)
    except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        message = f"{model.path}: no generator of this version ({type(error).__name__}: {error}); train it anew"
        raise ModelDirectoryError(message) from error
    limit = max_chars_of(length, max_chars)
    options = {"max_chars": limit, "beams": beams or BEAMS}
    return GenerateBackend(network, vocabulary, statistics, model.digest, device, dtype, **options, faithful=faithful)


def settings_of(record: Mapping[str, Any], vocabulary: CharacterVocabulary) -> PointerGeneratorSettings:
    """Return the sizes of a network as its configuration has them."""
    return PointerGeneratorSettings(characters=vocabulary.size, features=FEATURES, **record["network"])


def settings_record(settings: PointerGeneratorSettings, statistics: PairStatistics) -> dict[str, Any]:
    """Return what `settings_of` and `open_generate` read."""
    sizes = asdict(settings)
    del sizes["characters"], sizes["features"]
    return {"network": sizes, "texts": statistics.texts, "titles": statistics.titles}
