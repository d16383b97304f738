"""How much a word tells by being rare (idf), in tables of a few bytes a word. Knows no database, and counts nothing.

Two kinds: document frequencies of a corpus, from which idf is computed here, and files of `word idf` as jieba's own.
Both lie in a trie: a million words take some megabytes, where a Python dictionary takes two hundred.
"""

from __future__ import annotations

import hashlib
import json
import math
from functools import lru_cache
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import marisa_trie

from tasks.text.word_list import WordListError, numbered_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

#: Named in the first line of every table of ours, so that no other bytes are taken for one.
FORMAT = "hanmill.idf 1"
#: A document frequency, and an idf that was given.
_FREQUENCY, _GIVEN = "<I", "<d"
#: Parts of a line of a file.
_PARTS = 2


class IdfFileError(WordListError):
    """A file of `word idf` lines cannot be used. Correct the line that the message names; lines count from 1."""

    file_kind = "idf file"


class IdfTable:
    """The idf of every word there is: of one that the table does not hold, too."""

    def __init__(self, records: Any, weigh: Callable[[Any], float], absent: float) -> None:
        """Take a trie with one number a word, what idf follows from it, and the idf of words that are not there."""
        self._records = records
        self._weigh = weigh
        #: The idf of a word that the table does not hold.
        self.absent = absent

    def of(self, word: str) -> float:
        """Return the idf of a word."""
        found = self._records.get(word)
        return self.absent if found is None else self._weigh(found[0][0])


def idf_of(documents: int, frequency: int) -> float:
    """Return ln((N + 1) / df) for a word that stands in df of N documents.

    Spärck Jones (1972), "A statistical interpretation of term specificity and its application in retrieval"; the one is
    added so that a word of every document weighs little and not nothing. A word that was never counted stands in one
    document all the same: in that which is looked at.
    """
    return math.log((documents + 1) / max(frequency, 1))


def pack_frequencies(documents: int, rarest: int, frequencies: Iterable[tuple[str, int]]) -> bytes:
    """Return the table of a corpus: its words with the number of documents they stand in.

    `rarest` is taken for the frequency of every word that is not among them.
    """
    return _packed({"documents": documents, "rarest": rarest}, _FREQUENCY, frequencies)


def open_frequencies(data: bytes) -> IdfTable:
    """Return the table that `pack_frequencies` made. Raises ValueError for other bytes."""
    header, records = _unpacked(data, _FREQUENCY)
    documents = header["documents"]

    @lru_cache(maxsize=None)  # noqa: UP033 - of a few thousand different frequencies
    def weigh(frequency: int) -> float:
        return idf_of(documents, frequency)

    return IdfTable(records, weigh, weigh(header["rarest"]))


def parse_idf_file(data: bytes) -> dict[str, float]:
    """Return the words of a file with their idf: `word idf` a line, UTF-8, as jieba's `set_idf_path` takes it.

    Of a word that stands there twice the last line counts. Raises `IdfFileError` for a line that is none of these, and
    for a file without any.
    """
    found: dict[str, float] = {}
    for number, line in numbered_lines(data, IdfFileError):
        parts = line.split(" ")
        if len(parts) != _PARTS:
            raise IdfFileError(number, line, "not a word, one space and a number")
        try:
            found[parts[0]] = float(parts[1])
        except ValueError as error:
            raise IdfFileError(number, line, f"{parts[1]!r} is no number") from error
        if not math.isfinite(found[parts[0]]):
            raise IdfFileError(number, line, "an idf must be finite")
    if not found:
        raise IdfFileError(1, "", "no word stands in it")
    return found


def pack_given(idfs: dict[str, float]) -> bytes:
    """Return the table of an idf file. Words that are not in it weigh as much as the median, as jieba has it."""
    median = sorted(idfs.values())[len(idfs) // 2]
    return _packed({"median": median}, _GIVEN, idfs.items())


def open_given(data: bytes) -> IdfTable:
    """Return the table that `pack_given` made. Raises ValueError for other bytes."""
    header, records = _unpacked(data, _GIVEN)
    return IdfTable(records, float, header["median"])


def _packed(header: dict[str, Any], record: str, rows: Iterable[tuple[str, float]]) -> bytes:
    trie = marisa_trie.RecordTrie(record, ((word, (number,)) for word, number in rows))
    return json.dumps({"format": FORMAT, "record": record, **header}).encode() + b"\n" + bytes(trie.tobytes())


def _unpacked(data: bytes, record: str) -> tuple[dict[str, Any], Any]:
    line, _, records = data.partition(b"\n")
    try:
        header = json.loads(line)
    except ValueError:
        header = None
    if not isinstance(header, dict) or (header.get("format"), header.get("record")) != (FORMAT, record):
        message = "these bytes are no idf table of this version of hanmill"
        raise ValueError(message)
    return header, marisa_trie.RecordTrie(record).frombytes(records)


def jieba_idf_path() -> Path:
    """Return where the file lies that comes with jieba; imports nothing of it."""
    specification = util.find_spec("jieba")
    if specification is None or specification.origin is None:
        message = "jieba is not installed; install hanmill again with its dependencies"
        raise ModuleNotFoundError(message, name="jieba")
    return Path(specification.origin).parent / "analyse" / "idf.txt"


@lru_cache(maxsize=1)
def jieba_idf_digest() -> str:
    """Return the digest of the file that comes with jieba, in hex."""
    return hashlib.sha256(jieba_idf_path().read_bytes()).hexdigest()
