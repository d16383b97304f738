"""A network that writes a title: an encoder reads the document, a decoder writes or copies one character at a time.

Recurrent on both sides. Each character written is a mixture (See et al. 2017, arXiv 1704.04368): one share is drawn
from the vocabulary, the rest is copied from where the decoder looks in the document, so that characters which no
vocabulary has can be written. What may come from the vocabulary leans towards the document's own characters (the prior
mixing of Su Jianlin 2018, kexue.fm 5861). Knows no text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

#: Added to shares before their logarithm is taken: 16-bit numbers have no smaller ones.
LEAST_SHARE = 1e-8
#: The score of a position of padding.
HIDDEN = -1e4


@dataclass(frozen=True, slots=True)
class PointerGeneratorSettings:
    """The sizes of a network."""

    #: Entries of the vocabulary: padding (0), unknown (1) and characters; start and end come behind them.
    characters: int
    #: Real-valued features of each position of the document.
    features: int
    embedding: int = 128
    #: Of the encoder, both directions together, and of the decoder.
    channels: int = 256
    layers: int = 2

    @property
    def start(self) -> int:
        """The token before the first."""
        return self.characters

    @property
    def end(self) -> int:
        """The token behind the last."""
        return self.characters + 1

    @property
    def size(self) -> int:
        """How many tokens the vocabulary has, start and end among them."""
        return self.characters + 2


@dataclass(frozen=True, slots=True)
class SourceBatch:
    """Documents side by side, padded with zeros."""

    #: (B, T), int: numbers of characters.
    characters: Tensor
    #: (B, T, F).
    features: Tensor
    #: (B, T), int: the token that a position is copied as; one beyond the vocabulary for each unknown character.
    copied: Tensor
    #: How many tokens there are for the batch: the vocabulary's, and one for each character unknown to it.
    tokens: int

    def to(self, device: torch.device | str) -> Self:
        """Return it on a device."""
        characters, features, copied = (
            tensor.to(device, non_blocking=True) for tensor in (self.characters, self.features, self.copied)
        )
        return type(self)(characters, features, copied, self.tokens)


class Memory(NamedTuple):
    """What the encoder has understood of D documents."""

    #: (D, T, C).
    states: Tensor
    #: (D, T): 0 where there is text, `HIDDEN` where there is none.
    hidden: Tensor
    #: (D, T): as `SourceBatch.copied`.
    copied: Tensor
    #: (D, V): 1 for the tokens of the vocabulary that the document has.
    present: Tensor
    #: (D, tokens): whether a token may be written: not padding, unknown or start, nor a character of another document.
    writable: Tensor
    #: (D, C): what a decoder begins with.
    summary: Tensor

    def of(self, documents: Tensor) -> Memory:
        """Return the memory of some documents."""
        return Memory(*(tensor[documents] for tensor in self))


class PointerState(NamedTuple):
    """Where K hypotheses of each of D documents stand."""

    memory: Memory
    #: (L, D, K, C).
    recurrent: Tensor
    tokens: int


class PointerGenerator(nn.Module):
    """The encoder with the decoder; `begin`, `step` and `select` are those of a `beam_search.Decoder`."""

    def __init__(self, settings: PointerGeneratorSettings, dropout: float = 0.0) -> None:
        """Initialize at random; the caller seeds."""
        super().__init__()
        self.settings = settings
        width, channels = settings.embedding, settings.channels
        self.embedding = nn.Embedding(settings.size, width, padding_idx=0)
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.features = nn.Linear(settings.features, width)
        self.dropout = nn.Dropout(dropout)
        between = dropout if settings.layers > 1 else 0.0
        self.encoder = nn.GRU(
            width, channels // 2, settings.layers, batch_first=True, dropout=between, bidirectional=True
        )
        self.beginning = nn.Linear(channels, settings.layers * channels)
        self.decoder = nn.GRU(width, channels, settings.layers, batch_first=True, dropout=between)
        self.query = nn.Linear(channels, channels, bias=False)
        self.output = nn.Linear(2 * channels, width)
        self.bias = nn.Parameter(torch.zeros(settings.size))
        # The prior: the scale of a token that the document has, in logarithms, and its shift.
        self.prior_scale = nn.Parameter(torch.zeros(settings.size))
        self.prior_shift = nn.Parameter(torch.zeros(settings.size))
        self.gate = nn.Linear(2 * channels + width, 1)

    def encode(self, source: SourceBatch) -> Memory:
        """Read documents."""
        is_text = source.characters != 0  # (B, T)
        x = self.dropout(self.embedding(source.characters) + self.features(source.features))
        lengths = is_text.sum(dim=1).cpu()
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        states, last = self.encoder(packed)  # last: (2 L, B, C / 2)
        states, _ = nn.utils.rnn.pad_packed_sequence(states, batch_first=True, total_length=x.shape[1])
        hidden = torch.zeros_like(is_text, dtype=states.dtype).masked_fill(~is_text, HIDDEN)
        present = states.new_zeros(x.shape[0], self.settings.size)
        known = source.copied.where(source.copied < self.settings.size, 0)
        present.scatter_(1, known, 1.0)
        present[:, 0] = 0.0
        writable = torch.zeros(x.shape[0], source.tokens, dtype=torch.bool, device=x.device)
        writable.scatter_(1, source.copied, value=True)
        writable[:, : self.settings.size] = True
        writable[:, [0, 1, self.settings.start]] = False
        summary = torch.cat([last[-2], last[-1]], dim=-1)
        return Memory(self.dropout(states), hidden, source.copied, present, writable, summary)

    def forward(self, source: SourceBatch, written: Tensor) -> Tensor:
        """Return the logarithms of the shares (B, U, tokens) of what follows each of the tokens `written` (B, U)."""
        memory = self.encode(source)
        recurrent = self._first(memory)
        x = self.dropout(self._embedded(written))
        states, _ = self.decoder(x, recurrent)
        return self._shares(memory, states, x, source.tokens)

    def begin(self, source: SourceBatch, beams: int) -> PointerState:
        """Return the state of so many equal hypotheses a document."""
        memory = self.encode(source)
        recurrent = self._first(memory).unsqueeze(2).expand(-1, -1, beams, -1)
        return PointerState(memory, recurrent, source.tokens)

    def step(self, tokens: Tensor, state: PointerState) -> tuple[Tensor, PointerState]:
        """Go on by one token (D, K): see `beam_search.Decoder`."""
        documents, beams = tokens.shape
        x = self._embedded(tokens)  # (D, K, E)
        recurrent = state.recurrent.reshape(self.settings.layers, documents * beams, -1).contiguous()
        states, recurrent = self.decoder(x.reshape(documents * beams, 1, -1), recurrent)
        shares = self._shares(state.memory, states.reshape(documents, beams, -1), x, state.tokens)
        shares = shares.masked_fill(~state.memory.writable.unsqueeze(1), -torch.inf)
        return shares, state._replace(recurrent=recurrent.reshape(self.settings.layers, documents, beams, -1))

    def select(self, state: PointerState, documents: Tensor, beams: Tensor) -> PointerState:
        """Choose documents and their hypotheses: see `beam_search.Decoder`."""
        recurrent = state.recurrent[:, documents.unsqueeze(1), beams]
        return PointerState(state.memory.of(documents), recurrent, state.tokens)

    def _embedded(self, tokens: Tensor) -> Tensor:
        # What was copied and is in no vocabulary is read as unknown.
        embedded: Tensor = self.embedding(tokens.where(tokens < self.settings.size, 1))
        return embedded

    def _first(self, memory: Memory) -> Tensor:
        first = torch.tanh(self.beginning(memory.summary))  # (D, L * C)
        return first.reshape(-1, self.settings.layers, self.settings.channels).transpose(0, 1).contiguous()

    def _shares(self, memory: Memory, states: Tensor, x: Tensor, tokens: int) -> Tensor:
        """Return the logarithms of shares (D, U, tokens), from the decoder's states (D, U, C) and input (D, U, E)."""
        scores = torch.bmm(self.query(states), memory.states.transpose(1, 2)) / states.shape[-1] ** 0.5
        looked = (scores + memory.hidden.unsqueeze(1)).float().softmax(dim=-1)  # (D, U, T)
        context = torch.bmm(looked.to(states.dtype), memory.states)  # (D, U, C)
        both = torch.cat([states, context], dim=-1)
        logits = functional.linear(self.dropout(torch.tanh(self.output(both))), self.embedding.weight, self.bias)
        prior = self.prior_scale.exp() * memory.present + self.prior_shift  # (D, V)
        written = ((logits + prior.unsqueeze(1)) / 2).float().softmax(dim=-1)
        gate = torch.sigmoid(self.gate(torch.cat([both, x], dim=-1)).float())  # (D, U, 1)
        shares = functional.pad(gate * written, (0, tokens - self.settings.size))
        copied = memory.copied.unsqueeze(1).expand(-1, states.shape[1], -1)
        return (shares.scatter_add(2, copied, (1 - gate) * looked) + LEAST_SHARE).log()


def writing_loss(shares: Tensor, targets: Tensor) -> Tensor:
    """Return the mean negative logarithm of the targets' shares, a scalar.

    `shares` (B, U, tokens) are logarithms; of the targets (B, U) zeros are padding.
    """
    chosen = shares.gather(2, targets.unsqueeze(-1)).squeeze(-1)
    is_written = targets != 0
    return -(chosen * is_written).sum() / is_written.sum()
