"""Damages to bytes, as disks, networks, editors and careless programs do them. Knows no format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.fuzz.bad_input import Choices

#: Damages to one file at most.
MOST_DAMAGES = 4
#: Bytes put into the middle of a file.
INSERTED: Sequence[bytes] = (
    *(
        b"\0",
        b"\xff",
        b"\xfe\xff",
        b"\xef\xbb\xbf",
        b"\x84\x31\x95\x33",
        b"\xed\xa0\x80",
        b"\xc0\x80",
        b"\xf4\x90\x80\x80",
    ),
    *(b"\n", b"\r", b"\r\n", b"\n\n\n", b'"', b'""', b",", b"\t", b"{", b"}", b"[", b"\\", b"\\u", b"\\ud800", b"\x1a"),
    *(
        b"\xe2\x80\xa8",
        b"\xc2\x85",
        b"\x80",
        b"\x81",
        b"\x30\x81",
        b"0",
        b"\x00" * 40,
        b'"' * 41,
        b"\n" * 50,
        b"\xe5" * 9,
    ),
)


def mutated(choices: Choices, data: bytes, most: int = MOST_DAMAGES) -> bytes:
    """Return bytes after one or a few damages."""
    for _ in range(choices.integer(1, most)):
        data = choices.choose(DAMAGES)(choices, data)
    return data


def flipped(choices: Choices, data: bytes) -> bytes:
    """Turn one bit round."""
    if not data:
        return data
    at = choices.integer(0, len(data) - 1)
    return data[:at] + bytes([data[at] ^ 1 << choices.integer(0, 7)]) + data[at + 1 :]


def cut_off(choices: Choices, data: bytes) -> bytes:
    """Lose the end."""
    return data[: choices.integer(0, len(data))]


def _beheaded(choices: Choices, data: bytes) -> bytes:
    return data[choices.integer(0, min(len(data), 10)) :]


def _inserted(choices: Choices, data: bytes) -> bytes:
    at = choices.integer(0, len(data))
    return data[:at] + choices.choose(INSERTED) + data[at:]


def _overwritten(choices: Choices, data: bytes) -> bytes:
    at = choices.integer(0, len(data))
    piece = choices.choose(INSERTED)
    return data[:at] + piece + data[at + len(piece) :]


def _without_a_stretch(choices: Choices, data: bytes) -> bytes:
    start = choices.integer(0, len(data))
    return data[:start] + data[start + choices.integer(0, 20) :]


def _with_a_stretch_twice(choices: Choices, data: bytes) -> bytes:
    start = choices.integer(0, len(data))
    stop = min(len(data), start + choices.integer(0, 200))
    return data[:stop] + data[start:stop] + data[stop:]


def _with_other_line_ends(choices: Choices, data: bytes) -> bytes:
    return data.replace(b"\n", choices.choose((b"\r\n", b"\r", b"\r\r\n", b"\n\r", b"\0\n")))


def _with_other_quotes(choices: Choices, data: bytes) -> bytes:
    return data.replace(b'"', choices.choose((b'""', b"'", b"", b'\\"')), choices.integer(1, 5))


DAMAGES: Sequence[Callable[[Choices, bytes], bytes]] = (
    flipped,
    cut_off,
    _beheaded,
    _inserted,
    _inserted,
    _overwritten,
    _without_a_stretch,
    _with_a_stretch_twice,
    _with_other_line_ends,
    _with_other_quotes,
)
