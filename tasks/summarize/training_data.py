"""Reads documents with their summaries from JSON Lines, plain or gzipped. Trains nothing."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Literal

#: The fields that may hold the summary; without a choice the first that a file's first record has is taken.
TargetField = Literal["title", "summary"]
TARGET_FIELDS: tuple[TargetField, ...] = ("title", "summary")
#: So many broken lines are named before the rest is only counted.
MAX_FAULTS_NAMED = 5


@dataclass(frozen=True, slots=True)
class Pair:
    """A document and what a person wrote as its summary."""

    text: str
    target: str


class TrainingDataError(ValueError):
    """A file that no pairs can be read from; the message names the file and its first broken lines."""


def read_pairs(path: Path, target_field: str | None = None) -> list[Pair]:
    """Return the pairs of a file of lines `{"text": …, "title" | "summary": …}`, in its order.

    A record without the target field is left out: not every document has a summary. Raises `TrainingDataError` for a
    file that cannot be read, for lines that are no such record, and for a file without any pair.
    """
    pairs: list[Pair] = []
    faults: list[str] = []
    for number, line in _lines(path):
        try:
            record = _record(line)
            target_field = target_field or _found_field(record)
            pair = _pair(record, target_field)
        except ValueError as error:
            faults.append(f"line {number}: {error}")
            continue
        if pair is not None:
            pairs.append(pair)
    if faults:
        more = f" (and {len(faults) - MAX_FAULTS_NAMED} more)" if len(faults) > MAX_FAULTS_NAMED else ""
        message = f"{path}: {'; '.join(faults[:MAX_FAULTS_NAMED])}{more}; correct these lines or take them out"
        raise TrainingDataError(message)
    if not pairs:
        wanted = target_field or " or ".join(TARGET_FIELDS)
        message = f"{path}: no record has a text and a {wanted}; name the field with the summaries by --target-field"
        raise TrainingDataError(message)
    return pairs


def pairs_digest(pairs: Sequence[Pair]) -> str:
    """Return 64 hex digits that stand for these pairs in this order."""
    digest = hashlib.sha256()
    for pair in pairs:
        digest.update(json.dumps([pair.text, pair.target]).encode())
    return digest.hexdigest()


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open("rb") as raw:
            stream = TextIOWrapper(gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw, encoding="utf-8")
            for number, line in enumerate(stream, start=1):
                if line.strip():
                    yield number, line
    except UnicodeDecodeError as error:
        message = f"{path}: is not UTF-8 ({error.reason} at byte {error.start} of a block); convert it"
        raise TrainingDataError(message) from error
    except (OSError, EOFError) as error:
        message = f"{path}: cannot be read: {error}"
        raise TrainingDataError(message) from error


def _record(line: str) -> dict[str, object]:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        message = f"is no JSON ({error.msg} at character {error.pos + 1})"
        raise ValueError(message) from error
    if not isinstance(record, dict):
        message = f"is JSON of type {type(record).__name__}, not an object"
        raise ValueError(message)  # noqa: TRY004 - a fault of the data, collected with the others
    return record


def _found_field(record: dict[str, object]) -> str | None:
    return next((field for field in TARGET_FIELDS if record.get(field)), None)


def _pair(record: dict[str, object], target_field: str | None) -> Pair | None:
    text = record.get("text")
    if not isinstance(text, str) or not text.strip():
        message = "has no `text` that is a string with something in it"
        raise ValueError(message)
    target = None if target_field is None else record.get(target_field)
    if target is None or target == "":
        return None
    if not isinstance(target, str):
        message = f"`{target_field}` is {type(target).__name__}, not a string"
        raise ValueError(message)  # noqa: TRY004
    return Pair(text, target)
