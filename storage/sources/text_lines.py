r"""One document a line of plain text (`--lines`).

A line end, `\n` or `\r\n`, is no part of the text. A line without any character is no document; one of blanks is.
"""

from __future__ import annotations

from storage.sources.encodings import decode
from storage.sources.frame import Frame
from storage.sources.record import Record
from storage.sources.values import place_key


class TextLines:
    """Understands the lines of one source."""

    def __init__(self, uri: str, encoding: str) -> None:
        self._uri = uri
        self._encoding = encoding

    def understand(self, frame: Frame) -> Record | None:
        """Return the document of a line, None for an empty line; raises `FaultError`."""
        text = decode(frame.data, self._encoding, frame.offset)
        if text.endswith("\n"):
            text = text[:-1].removesuffix("\r")
        return Record(place_key(self._uri, frame.offset), text, frame.offset, frame.length) if text else None
