"""A classifier over the tokens of a checkpoint: what fine-tuned encoders and ready-made classifiers have in common.

Reads the beginning of a text that fills the model's positions; the rest of a longer text does not count. Builds no
network and reads no directory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tasks.classify.label_set import LabelSet, Scores
from tasks.classify.text_cnn_backend import probability
from tasks.nn.backend import EMPTY_TEXT, UnfitTextError
from tasks.nn.checkpoint_tokenizers import CheckpointTokenizer
from tasks.nn.checkpoints import TokenWindow, pad

#: Numbers of tokens (B, T) and their mask (B, T) in, logits (B, L) out.
Scorer = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Decision:
    """How logits become decided labels and probabilities."""

    #: The probability of a score s is 1 / (1 + exp(-scale * s)).
    scale: float
    #: Exactly one label is right: the one with the greatest logit.
    is_single: bool = False


class TokenClassifier:
    """One network on one device; a label is decided when its score is above 0."""

    def __init__(
        self,
        tokenizer: CheckpointTokenizer,
        max_positions: int,
        scorer: Scorer,
        label_set: LabelSet,
        decision: Decision,
        *,
        digest: str,
        device: str,
    ) -> None:
        """`scorer` holds the network, in evaluation mode."""
        self.digest = digest
        self.label_set = label_set
        self.scale = decision.scale
        self._tokenizer = tokenizer
        self._max_positions = max_positions
        self._scorer = scorer
        self._is_single = decision.is_single
        self._device = device

    def windows(self, text: str) -> Sequence[TokenWindow]:
        """Encode the beginning of a text; raises `UnfitTextError` for an empty one."""
        if not text or text.isspace():
            raise UnfitTextError(EMPTY_TEXT, "the text is empty or white space only; there is nothing to label")
        return [TokenWindow(self._tokenizer.window(text, self._max_positions))]

    @torch.inference_mode()
    def forward(self, windows: Sequence[TokenWindow]) -> Sequence[Scores]:
        """Return the scores (L,) of every window."""
        ids, mask = pad(windows, self._tokenizer.pad_id, self._device)  # (B, T)
        logits = self._scorer(ids, mask).float()  # (B, L)
        scores = margins(logits) if self._is_single else logits
        return list(scores.cpu().numpy())

    def result(self, text: str, windows: Sequence[TokenWindow], outputs: Sequence[Scores]) -> Scores:  # noqa: ARG002
        """Return the scores of a text's labels; a parent's is at least those of its children."""
        return self.label_set.close(outputs[0])

    def decide(self, scores: Scores) -> list[tuple[int, float]]:
        """Return the positions of the labels that are decided, with their probabilities."""
        probabilities = probability(scores, self.scale)
        return [(int(position), float(probabilities[position])) for position in np.flatnonzero(scores > 0)]


def margins(logits: Tensor) -> Tensor:
    """Return how far each logit is above the greatest of the others: above 0 for the greatest one alone.

    The last dimension holds the labels, two at least. [2, 5, 1] -> [-3, 3, -4]. Two that are equal at the top have
    both a margin of 0, and neither is decided.
    """
    top = logits.topk(2, dim=-1).values  # (…, 2)
    is_greatest = logits == top[..., :1]
    rival = torch.where(is_greatest, top[..., 1:], top[..., :1])
    return logits - rival
