"""Summaries written by an encoder-decoder checkpoint (BART, Pegasus, T5, mT5, T5-PEGASUS) that the user has.

The text is generated, not taken from the document, so that a summary has no places in it. Decoding is greedy or by
beams, never by chance. Only the beginning of a document that fills the model's positions is read.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from tasks.nn.backend import UnfitTextError
from tasks.nn.checkpoint_tokenizers import CheckpointTokenizer
from tasks.nn.checkpoints import Checkpoint, TokenWindow, open_checkpoint, pad
from tasks.summarize.generated import generated_summary
from tasks.summarize.summary import Length, Summary, check_not_empty, max_chars_of, own_summary

AUTO_CLASS = "AutoModelForSeq2SeqLM"
#: Tokenizers whose start and end marks are [CLS] and [SEP], whatever the configuration says.
WORDPIECE_KINDS = frozenset({"wordpiece", "jieba_wordpiece"})
#: Positions of the output besides its text: start and end.
MARKS = 2
#: Settings of a checkpoint that would bring chance, or another length, into its summaries.
NEUTRAL_SETTINGS = {
    "do_sample": False,
    "temperature": None,
    "top_k": None,
    "top_p": None,
    "typical_p": None,
    "max_length": None,
    "min_length": None,
    "min_new_tokens": None,
    "num_return_sequences": 1,
}


class Seq2SeqBackend:
    """One encoder-decoder on one device."""

    def __init__(
        self, checkpoint: Checkpoint, network: Any, device: str, max_chars: int, num_beams: int | None
    ) -> None:
        """Take a loaded network; see `open_seq2seq`."""
        self.digest = checkpoint.digest
        self._tokenizer = checkpoint.tokenizer
        self._max_positions = checkpoint.max_positions
        self._network = network
        self._device = device
        self._max_chars = max_chars
        # No token is less than a character, so that as many tokens always hold the text.
        max_new_tokens = min(max_chars + MARKS, checkpoint.max_positions - 1)
        self._generation = generation_settings(network, checkpoint.tokenizer, max_new_tokens, num_beams)
        self._end_ids = end_ids(self._generation)

    def windows(self, text: str) -> Sequence[TokenWindow]:
        """Encode the beginning of a text; one that is short enough gives no window, since it is its own summary.

        Raises `UnfitTextError` for an empty text, and for one of which the model knows no token.
        """
        check_not_empty(text)
        if own_summary(text, self._max_chars):
            return []
        # Line ends and indents are no text; multilingual vocabularies would spend positions on them.
        window = self._tokenizer.window(" ".join(text.split()), self._max_positions)
        if not set(window) - {*self._tokenizer.prefix, *self._tokenizer.suffix, self._tokenizer.unknown_id}:
            reason = "unknown_text"
            raise UnfitTextError(reason, "no token of the text is in the model's vocabulary; it would write at random")
        return [TokenWindow(window)]

    @torch.inference_mode()
    def forward(self, windows: Sequence[TokenWindow]) -> Sequence[tuple[int, ...]]:
        """Return the numbers of the tokens that the model writes, without start and end."""
        ids, mask = pad(windows, self._tokenizer.pad_id, self._device)  # (B, T)
        rows = self._network.generate(input_ids=ids, attention_mask=mask, generation_config=self._generation)
        return [self._written(row) for row in rows.tolist()]

    def _written(self, row: Sequence[int]) -> tuple[int, ...]:
        # The first number is the start mark, which is the end mark too in Chinese BARTs.
        ends = (position for position, number in enumerate(row) if position and number in self._end_ids)
        return tuple(row[1 : next(ends, len(row))])

    def result(self, text: str, windows: Sequence[TokenWindow], outputs: Sequence[tuple[int, ...]]) -> Summary:
        """Return the summary; raises `UnfitTextError` when the model wrote nothing."""
        own = None if windows else own_summary(text, self._max_chars)
        return own or generated_summary(self._tokenizer.decode(outputs[0]), self._max_chars)


def open_seq2seq(
    directory: Path,
    device: str,
    dtype: torch.dtype,
    length: Length,
    max_chars: int | None = None,
    *,
    num_beams: int | None = None,
) -> Seq2SeqBackend:
    """Load an encoder-decoder; `num_beams` None takes the checkpoint's own number, 1 is greedy.

    Raises `ModelDirectoryError` with the reason for a directory that is none.
    """
    checkpoint = open_checkpoint(directory.absolute())
    network = checkpoint.load(AUTO_CLASS, device, dtype)
    return Seq2SeqBackend(checkpoint, network, device, max_chars_of(length, max_chars), num_beams)


def generation_settings(
    network: Any, tokenizer: CheckpointTokenizer, max_new_tokens: int, num_beams: int | None
) -> Any:
    """Return how the network is to write: its own settings without chance, with marks that its vocabulary has."""
    settings = copy.deepcopy(network.generation_config)
    for name, value in NEUTRAL_SETTINGS.items():
        setattr(settings, name, value)
    settings.max_new_tokens = max_new_tokens
    if num_beams is not None:
        settings.num_beams = num_beams
    if tokenizer.kind in WORDPIECE_KINDS and not end_ids(settings) & set(tokenizer.suffix):
        # T5's own numbers over a BERT vocabulary: its end mark is some [unused1], which no model of this kind writes.
        settings.decoder_start_token_id, settings.eos_token_id = tokenizer.prefix[0], tokenizer.suffix[-1]
    if settings.pad_token_id is None:
        settings.pad_token_id = tokenizer.pad_id
    if settings.decoder_start_token_id is None and settings.bos_token_id is None:
        settings.decoder_start_token_id = (*tokenizer.prefix, tokenizer.pad_id)[0]
    return settings


def end_ids(settings: Any) -> frozenset[int]:
    """Return the numbers that end an output: a configuration gives none, one or several."""
    ends = settings.eos_token_id
    return frozenset(ends if isinstance(ends, list) else [] if ends is None else [ends])
