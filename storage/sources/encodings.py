"""Encodings of Chinese text: their names, the byte order mark, a strict decoding, and the guess behind `auto`.

All of them are framed as bytes: line feed, carriage return, tab, comma and quote never stand inside one of their
characters, so records are found before anything is decoded.
"""

from __future__ import annotations

import codecs

from storage.sources.byte_stream import open_chunks
from storage.sources.faults import NUL, UNDECODABLE, BrokenStreamError, FaultError
from storage.sources.record import ReaderOptions

ENCODINGS = ("utf-8", "gb18030", "gbk", "gb2312", "big5")
#: Decides for every file by itself: UTF-8 when its beginning is that, GB18030 otherwise.
AUTO = "auto"
#: How much of a file `auto` looks at.
PROBED_BYTES = 1024 * 1024
MARK = "\ufeff"
_MARKS = {"utf-8": codecs.BOM_UTF8, "gb18030": MARK.encode("gb18030")}


def encoding_name(name: str) -> str | None:
    """Return the name that options carry (`UTF8` -> `utf-8`), None for an encoding that is not read."""
    if name.strip().lower() == AUTO:
        return AUTO
    try:
        canonical = codecs.lookup(name).name
    except (LookupError, ValueError):
        return None
    canonical = {"utf-8-sig": "utf-8"}.get(canonical, canonical)
    return canonical if canonical in ENCODINGS else None


def source_encoding(uri: str, options: ReaderOptions) -> str:
    """Return the encoding of a source; for `auto` its beginning is read, so that every range gets the same answer.

    Raises `SourceUnavailableError`.
    """
    if options.encoding != AUTO:
        return options.encoding
    return guess_encoding(_beginning(uri, options))


def _beginning(uri: str, options: ReaderOptions) -> bytes:
    beginning = bytearray()
    try:
        for chunk in open_chunks(uri, options.compression, chunk_bytes=PROBED_BYTES):
            beginning += chunk
            if len(beginning) >= PROBED_BYTES:
                break
    except BrokenStreamError:
        # What can be read is enough to guess from; the reader reports the rest.
        pass
    return bytes(beginning[:PROBED_BYTES])


def guess_encoding(beginning: bytes) -> str:
    """Return `utf-8` for bytes that are UTF-8, perhaps cut inside the last character, and `gb18030` for others."""
    try:
        codecs.getincrementaldecoder("utf-8")("strict").decode(beginning[:PROBED_BYTES])
    except UnicodeDecodeError:
        return "utf-8" if beginning.startswith(codecs.BOM_UTF8) else "gb18030"
    return "utf-8"


def mark_bytes(beginning: bytes, encoding: str) -> int:
    """Return how many bytes the byte order mark at the beginning of a file takes, 0 when there is none."""
    mark = _MARKS.get(encoding)
    return len(mark) if mark and beginning.startswith(mark) else 0


def decode(data: bytes, encoding: str, offset: int) -> str:
    """Return the text of a record that stands at `offset`, without the byte order mark at the file's beginning.

    Raises `FaultError` for bytes that are not of the encoding and for NUL; it names the offset in the file.
    """
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        detail = f"byte 0x{data[error.start]:02x} at offset {offset + error.start} is not {encoding}"
        raise FaultError(UNDECODABLE, detail, offset + error.start) from error
    if "\0" in text:
        position = offset + data.index(b"\0")
        raise FaultError(NUL, f"a NUL character at offset {position}", position)
    return text.removeprefix(MARK) if offset == 0 else text
