"""Which device this process computes on. One process a device: the n-th process of a worker takes the n-th."""

from __future__ import annotations

from functools import lru_cache

import torch
from billiard.process import current_process

from storage.errors import UsageError
from workers.cores import available_cores


@lru_cache(maxsize=1)
def choose_device(setting: str) -> str:
    """Return the device of this process; raises `UsageError` for one that is not there."""
    devices = list_devices(setting)
    device = devices[getattr(current_process(), "index", 0) % len(devices)]
    if device == "cpu":
        # Of a container with two cores on a machine with sixty-four, PyTorch would start sixty-four threads.
        torch.set_num_threads(available_cores())
    return device


def list_devices(setting: str) -> list[str]:
    """Return the devices that a setting names: `auto` every GPU, or the CPU when there is none.

    Raises `UsageError` for one that is not there.
    """
    count = torch.cuda.device_count()
    if setting == "auto":
        return [f"cuda:{index}" for index in range(count)] or ["cpu"]
    devices = [name.strip() for name in setting.split(",") if name.strip()]
    there = {"cpu", *(f"cuda:{index}" for index in range(count))}
    strange = [name for name in devices if name not in there]
    if strange or not devices:
        named = ", ".join(strange) or repr(setting)
        message = f"the device {named} is not here; there are: {', '.join(sorted(there))}"
        raise UsageError(message)
    return devices
