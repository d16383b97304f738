"""In which numbers a device computes: bf16 on a GPU that has it, else fp32. Chooses no device."""

from __future__ import annotations

import torch

#: From this compute capability on a GPU has bf16 in hardware.
BF16_CAPABILITY = 8


def dtype_for(device: str) -> torch.dtype:
    """Return the type in which a device computes a model."""
    if not device.startswith("cuda"):
        return torch.float32
    major, _ = torch.cuda.get_device_capability(device)
    return torch.bfloat16 if major >= BF16_CAPABILITY else torch.float32
