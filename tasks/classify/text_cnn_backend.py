"""The classifier that is trained from scratch: a convolution over pieces, and a linear separator over their n-grams.

The logits are those of the network plus the separator's margins times a weight, plus a shift; both were chosen on the
dev part. Trains nothing (`train.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks.classify.label_set import LabelSet, LabelSetError, Scores
from tasks.classify.pieces import pieces
from tasks.classify.vocabulary import NGramVocabulary, PieceVocabulary, WeightedNGrams
from tasks.nn.backend import EMPTY_TEXT, UnfitTextError
from tasks.nn.model_directory import (
    ModelConfig,
    ModelDirectory,
    ModelDirectoryError,
    open_model,
    write_model,
)
from tasks.nn.sparse_linear import SparseRows
from tasks.nn.text_cnn import TextCnn, TextCnnSizes

BACKEND = "text_cnn"
LABELS = "labels.json"
PIECES = "vocab.txt"
N_GRAMS = "ngrams.txt"
#: Tensors beside those of the network.
INVERSE_FREQUENCIES, SEPARATORS, BIASES = "ngrams.idf", "ngrams.weight", "ngrams.bias"
NETWORK = "network."


@dataclass(frozen=True, slots=True)
class Blend:
    """How the two parts are added up: network + weight · margin + shift, and what makes probabilities of it."""

    weight: float
    shift: float
    #: The probability of a logit s is 1 / (1 + exp(-scale · s)).
    scale: float


@dataclass(frozen=True, slots=True)
class TextWindow:
    """A text as both parts take it."""

    #: (T,) the beginning, for the network.
    numbers: NDArray[np.int64]
    n_grams: WeightedNGrams

    @property
    def length(self) -> int:
        """The network's positions."""
        return len(self.numbers)


@dataclass(frozen=True, slots=True)
class TextEncoder:
    """From texts to windows."""

    pieces: PieceVocabulary
    n_grams: NGramVocabulary
    #: Pieces of the beginning that the network reads; the n-grams are those of the whole text.
    max_positions: int

    def window(self, text: str) -> TextWindow:
        """Encode a text; raises `UnfitTextError` for one without a piece."""
        return self.window_of(pieces(text))

    def window_of(self, sequence: list[str]) -> TextWindow:
        """Encode the pieces of a text; raises `UnfitTextError` when there are none."""
        if not sequence:
            raise UnfitTextError(EMPTY_TEXT, "the text is empty or white space only; there is nothing to label")
        return TextWindow(self.pieces.encode(sequence[: self.max_positions]), self.n_grams.encode(sequence))


@dataclass(frozen=True, slots=True)
class TextCnnModel:
    """All that decides a result."""

    network: TextCnn
    #: (N, L) and (L,).
    separators: Tensor
    biases: Tensor
    encoder: TextEncoder
    label_set: LabelSet
    blend: Blend


class TextCnnBackend:
    """One such model on one device."""

    def __init__(self, model: TextCnnModel, digest: str, device: str = "cpu") -> None:
        self.digest = digest
        self.label_set = model.label_set
        self.scale = model.blend.scale
        self._encoder = model.encoder
        self._device = device
        # fp32 on every device: the network is so small that fewer bits would only cost exactness.
        self._network = model.network.to(device).eval()
        self._separators = (model.separators * model.blend.weight).to(device)
        self._shift = (model.biases * model.blend.weight + model.blend.shift).to(device)

    def windows(self, text: str) -> Sequence[TextWindow]:
        """Encode a text; raises `UnfitTextError` for one that is empty or white space only."""
        return [self._encoder.window(text)]

    @torch.inference_mode()
    def forward(self, windows: Sequence[TextWindow]) -> Sequence[Scores]:
        """Return the logits (L,) of every window."""
        logits = self._network(pad([window.numbers for window in windows]).to(self._device))  # (B, L)
        rows = sparse_rows(windows, len(self._separators))
        margins = SparseRows(
            rows.columns.to(self._device), rows.starts.to(self._device), rows.values.to(self._device), rows.width
        ).times(self._separators)
        return list((logits + margins + self._shift).cpu().numpy())

    def result(self, text: str, windows: Sequence[TextWindow], outputs: Sequence[Scores]) -> Scores:  # noqa: ARG002
        """Return the logits of a text's labels; a parent's is at least those of its children."""
        return self.label_set.close(outputs[0])

    def decide(self, scores: Scores) -> list[tuple[int, float]]:
        """Return the positions of the labels whose logit is above 0, with their probabilities."""
        probabilities = probability(scores, self.scale)
        return [(int(position), float(probabilities[position])) for position in np.flatnonzero(scores > 0)]


def probability(scores: Scores, scale: float) -> NDArray[np.float64]:
    """Return 1 / (1 + exp(-scale · score)), without a number that is too large on the way."""
    return 0.5 * (1.0 + np.tanh(0.5 * scale * scores.astype(np.float64)))


def pad(sequences: Sequence[NDArray[np.int64]]) -> Tensor:
    """Return the numbers of texts, filled up with 0 to the longest."""
    numbers = np.zeros((len(sequences), max(map(len, sequences))), dtype=np.int64)
    for row, sequence in enumerate(sequences):
        numbers[row, : len(sequence)] = sequence
    return torch.from_numpy(numbers)  # (B, T)


def sparse_rows(windows: Sequence[TextWindow], width: int) -> SparseRows:
    """Return the n-grams of windows as a matrix (B, `width`)."""
    return SparseRows.of([(window.n_grams.numbers, window.n_grams.weights) for window in windows], width)


def open_text_cnn(directory: Path, device: str = "cpu") -> TextCnnBackend:
    """Load such a model; raises `ModelDirectoryError` with the reason for a directory that is none."""
    model = open_model(directory)
    try:
        return TextCnnBackend(_read(model), model.digest, device)
    except (KeyError, TypeError, ValueError, RuntimeError, OSError, LabelSetError) as error:
        message = f"{directory}: is no whole {BACKEND} classifier ({type(error).__name__}: {error})"
        raise ModelDirectoryError(message) from error


def _read(model: ModelDirectory) -> TextCnnModel:
    settings, tensors = model.config.settings, model.tensors()
    label_set = LabelSet.from_json(model.read_json(LABELS))
    encoder = TextEncoder(
        PieceVocabulary(_lines(model, PIECES)),
        NGramVocabulary(_lines(model, N_GRAMS), tensors[INVERSE_FREQUENCIES].numpy()),
        int(settings["max_positions"]),
    )
    sizes = {**settings["network"], "widths": tuple(settings["network"]["widths"])}
    network = TextCnn(TextCnnSizes(**sizes))
    network.load_state_dict(
        {name.removeprefix(NETWORK): one.float() for name, one in tensors.items() if name.startswith(NETWORK)}
    )
    separators = tensors[SEPARATORS].float()
    expected = (len(encoder.n_grams), len(label_set.labels))
    found = (len(tensors[INVERSE_FREQUENCIES]), network.sizes.labels)
    if tuple(separators.shape) != expected or found != expected or network.sizes.vocabulary != len(encoder.pieces):
        message = f"{LABELS}, {PIECES} and {N_GRAMS} are not those of the weights"
        raise ValueError(message)
    return TextCnnModel(network, separators, tensors[BIASES].float(), encoder, label_set, Blend(**settings["blend"]))


def _lines(model: ModelDirectory, file: str) -> list[str]:
    # Not splitlines: a piece may be a sign that Unicode counts as the end of a line.
    text = model.read_text(file)
    return text.removesuffix("\n").split("\n") if text else []


def write_text_cnn(
    directory: Path, model: TextCnnModel, config: ModelConfig, metrics: Mapping[str, Any]
) -> ModelDirectory:
    """Write a model; its architecture and blend are added to the settings of `config`."""
    settings = {
        **config.settings,
        "max_positions": model.encoder.max_positions,
        "network": asdict(model.network.sizes),
        "blend": asdict(model.blend),
    }
    tensors = {
        **{NETWORK + name: tensor for name, tensor in model.network.state_dict().items()},
        INVERSE_FREQUENCIES: torch.from_numpy(model.encoder.n_grams.inverse_frequencies),
        SEPARATORS: model.separators,
        BIASES: model.biases,
    }
    files = {
        LABELS: model.label_set.to_json(),
        PIECES: _joined(model.encoder.pieces.known),
        N_GRAMS: _joined(model.encoder.n_grams.known),
    }
    whole = ModelConfig(config.kind, config.backend, config.name, config.version, settings)
    return write_model(directory, whole, tensors, files, metrics)


def _joined(lines: Sequence[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()
