"""Packs bytes as gzip, bzip2 or Zstandard, well or badly, and says how. Reads nothing back."""

from __future__ import annotations

import bz2
import gzip
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import zstandard

from storage.sources import Compression
from tests.fuzz.mutations import cut_off, mutated

if TYPE_CHECKING:
    from tests.fuzz.bad_input import Choices

#: How a container came to be: `plain` is none at all; of `whole` and `members` everything can be unpacked, of `cut` a
#: beginning, of `trailed` everything that stands before the garbage, and of `damaged` nobody knows.
Container = Literal["plain", "whole", "members", "cut", "trailed", "damaged"]
_PACKED: Sequence[Container] = ("whole", "whole", "whole", "members", "cut", "cut", "trailed", "damaged")
_GARBAGE = (b"garbage", b"\0\0\x01", b"\x1f\x8b", b"BZh9", b"\x28\xb5\x2f\xfd", b"\n")

PACKERS: dict[Compression, Callable[[bytes], bytes]] = {
    "gz": lambda data: gzip.compress(data, 1, mtime=0),
    "bz2": lambda data: bz2.compress(data, 1),
    "zst": lambda data: zstandard.ZstdCompressor(1, write_checksum=True).compress(data),
}


def pack(choices: Choices, payload: bytes, compression: Compression) -> tuple[Container, bytes]:
    """Return a container of some bytes, and how it was made."""
    if not compression:
        return "plain", payload
    packed = PACKERS[compression]
    container = choices.choose(_PACKED)
    if container == "members":
        first, second = sorted((choices.integer(0, len(payload)), choices.integer(0, len(payload))))
        members = (payload[:first], payload[first:second], payload[second:])
        return container, (b"\0" * choices.choose((0, 0, 512))).join(map(packed, members))
    data = packed(payload)
    if container == "cut":
        data = cut_off(choices, data)
    elif container == "trailed":
        data += choices.choose(_GARBAGE)
    elif container == "damaged":
        data = mutated(choices, data) if choices.integer(0, 4) else payload
    return container, data
