"""Word lists as users write them: UTF-8 files, one entry on a line. Decodes them, does not know what an entry means."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Longest piece of a broken line that an error message repeats, in characters.
SHOWN_CHARS = 80


class WordListError(ValueError):
    """A file of words cannot be used. Correct the line that the message names; lines count from 1."""

    #: What the file is, as the message calls it.
    file_kind = "word list"

    def __init__(self, line_number: int, content: str, reason: str) -> None:
        """Keep the place for callers that show it in their own way."""
        super().__init__(f"{self.file_kind}, line {line_number}: {reason}: {content[:SHOWN_CHARS]!r}")
        self.line_number = line_number
        self.content = content
        self.reason = reason


def numbered_lines(data: bytes, error: type[WordListError] = WordListError) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not blank, stripped, with their numbers from 1.

    Lines end with LF or CRLF; a byte order mark is dropped. Raises `error` at the first line that is not UTF-8.
    """
    for line_number, raw in enumerate(data.split(b"\n"), 1):
        try:
            line = raw.decode("utf-8")
        except UnicodeDecodeError as fault:
            shown = raw.decode("utf-8", "backslashreplace").strip()
            raise error(line_number, shown, "not UTF-8 (save the file as UTF-8)") from fault
        stripped = line.removeprefix("\ufeff").strip()
        if stripped:
            yield line_number, stripped
