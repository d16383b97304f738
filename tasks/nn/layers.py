"""Layers that several networks share: the residual gated dilated convolution. Knows no task and no data."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class GatedResidualConvolution(nn.Module):
    """One layer of the extractor of SPACES (Su Jianlin 2021): `x + α · norm(a ⊙ σ(b))`, a and b by one convolution.

    α is learned and starts at 0, so that a deep stack begins as the identity.
    """

    def __init__(self, channels: int, kernel: int, dilation: int, dropout: float = 0.0) -> None:
        """`kernel` is odd; `dropout` falls on what is added."""
        super().__init__()
        padding = dilation * (kernel - 1) // 2
        self.convolution = nn.Conv1d(channels, 2 * channels, kernel, padding=padding, dilation=dilation)
        self.norm = nn.LayerNorm(channels)
        self.dropout = nn.Dropout(dropout)
        self.alpha = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return the same shape (B, T, C); `mask` (B, T) is 1 where there is text, and padding is read as zeros."""
        visible = (x * mask.unsqueeze(-1)).transpose(1, 2)  # (B, C, T)
        gated = functional.glu(self.convolution(visible), dim=1).transpose(1, 2)  # (B, T, C)
        added: Tensor = self.dropout(self.norm(gated))
        return x + self.alpha * added
