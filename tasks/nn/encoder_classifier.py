"""The network of a fine-tuned encoder: a checkpoint's encoder, the mean of its positions, one linear layer."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

#: Prefixes of weights that an encoder may lack, since nothing is computed with them.
UNUSED_WEIGHTS = ("pooler.",)


class EncoderClassifier(nn.Module):
    """Numbers of tokens in, one logit per label out."""

    def __init__(self, encoder: Any, labels: int, dropout: float = 0.1) -> None:
        """Put a new layer on an encoder of transformers."""
        super().__init__()
        if getattr(encoder, "pooler", None) is not None:
            # It was made for another task, and many checkpoints do not have it.
            encoder.pooler = None
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(int(encoder.config.hidden_size), labels)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return logits (B, L) for numbers (B, T) and a mask (B, T) that is 1 where there is text."""
        hidden = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state  # (B, T, H)
        weights = mask.unsqueeze(-1).to(hidden.dtype)  # (B, T, 1)
        # Summed in fp32: half precision loses digits over hundreds of positions.
        mean = (hidden * weights).float().sum(1) / weights.float().sum(1)  # (B, H)
        logits: Tensor = self.head(self.dropout(mean.to(self.head.weight.dtype)))
        return logits
