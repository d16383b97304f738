"""Reads labelled texts: JSON Lines, also compressed with gzip, with `text` and `labels`, a list of names.

Knows no model. A label that a text has twice counts once.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage.errors import UsageError

#: Faults of a file that a message names; more would hide the first.
FAULTS_SHOWN = 5
#: The widest name of a label, in characters.
NAME_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class LabelledTexts:
    """Texts and, for each, the names of its labels; a text may have none."""

    texts: Sequence[str]
    labels: Sequence[Sequence[str]]

    def __len__(self) -> int:
        return len(self.texts)

    def split(self, every: int) -> tuple[LabelledTexts, LabelledTexts]:
        """Return all but one of `every` texts, and those that are kept apart."""
        kept = [place for place in range(len(self.texts)) if place % every]
        return self._at(kept), self._at(range(0, len(self.texts), every))

    def _at(self, places: Sequence[int]) -> LabelledTexts:
        return LabelledTexts([self.texts[place] for place in places], [self.labels[place] for place in places])

    @property
    def names(self) -> list[str]:
        """All labels that occur, sorted."""
        return sorted({name for names in self.labels for name in names})


def read_labelled(path: Path) -> LabelledTexts:
    """Read a file of labelled texts.

    Raises `UsageError` that names the file and its first bad lines, for one that cannot be read, or has no text.
    """
    texts: list[str] = []
    labels: list[Sequence[str]] = []
    faults: list[str] = []
    for number, line in _lines(path):
        record = _record(line)
        if isinstance(record, str):
            faults.append(f"line {number}: {record}")
        elif record is not None:
            texts.append(record[0])
            labels.append(record[1])
    if faults:
        more = f"; and {len(faults) - FAULTS_SHOWN:,} more" if len(faults) > FAULTS_SHOWN else ""
        message = f"{path}: {'; '.join(faults[:FAULTS_SHOWN])}{more}. Mend these lines or take them out"
        raise UsageError(message)
    if not texts:
        message = f'{path}: has no record; each line is to be like {{"text": "…", "labels": ["…"]}}'
        raise UsageError(message)
    return LabelledTexts(texts, labels)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with gzip.open(path) if path.name.endswith(".gz") else path.open("rb") as stream:
            yield from enumerate(stream, start=1)
    except (OSError, EOFError, zlib.error) as error:
        message = f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}"
        raise UsageError(message) from error


def _record(line: bytes) -> tuple[str, list[str]] | str | None:
    """Return the text and labels of a line, None for an empty line, or what is wrong with it."""
    if not line.strip():
        return None
    try:
        value: Any = json.loads(line)
    except ValueError as error:
        return f"no JSON ({error})"
    if not isinstance(value, dict) or not isinstance(value.get("text"), str):
        return "no object with a `text`"
    if not value["text"].strip():
        return "`text` is empty"
    labels = value.get("labels")
    if not isinstance(labels, list) or not all(_is_name(label) for label in labels):
        return f"`labels` is no list of names of 1 to {NAME_CHARACTERS} characters"
    return value["text"], list(dict.fromkeys(labels))


def _is_name(label: object) -> bool:
    return isinstance(label, str) and 0 < len(label) <= NAME_CHARACTERS
