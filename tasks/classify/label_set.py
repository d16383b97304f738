"""The labels that a classifier tells apart: named, versioned, in a fixed order, some of them above others.

Knows no model and no database.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]


class LabelSetError(ValueError):
    """Labels that make no set; the message says which one and why."""


@dataclass(frozen=True, slots=True)
class Label:
    """One label, and the position of the label above it, if any: what it implies."""

    name: str
    parent: int | None = None


@dataclass(frozen=True, slots=True)
class LabelSet:
    """Labels in the order of a model's scores. Raises `LabelSetError` when they make no set."""

    name: str
    version: str
    labels: tuple[Label, ...]

    def __post_init__(self) -> None:
        names = [label.name for label in self.labels]
        if not names:
            message = f"the label set {self.name!r} has no label"
            raise LabelSetError(message)
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            message = f"the label set {self.name!r} has the label {twice!r} twice"
            raise LabelSetError(message)
        for position in range(len(names)):
            self._check_ancestors(position)

    def _check_ancestors(self, position: int) -> None:
        seen = {position}
        above = self.labels[position].parent
        while above is not None:
            if not 0 <= above < len(self.labels) or above in seen:
                message = f"the label set {self.name!r}: the parents of {self.labels[position].name!r} lead to no root"
                raise LabelSetError(message)
            seen.add(above)
            above = self.labels[above].parent

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in order."""
        return tuple(label.name for label in self.labels)

    def ancestors(self, position: int) -> list[int]:
        """Return the positions above a label, the nearest first."""
        above: list[int] = []
        parent = self.labels[position].parent
        while parent is not None:
            above.append(parent)
            parent = self.labels[parent].parent
        return above

    def close(self, scores: Scores) -> Scores:
        """Return scores (…, labels) in which every label has at least the score of each label below it."""
        closed = scores.copy()
        for position in range(len(self.labels)):
            for above in self.ancestors(position):
                closed[..., above] = np.maximum(closed[..., above], scores[..., position])
        return closed

    def targets(self, labelled: Sequence[Sequence[str]]) -> Scores:
        """Return (texts, labels) with 1 where a text has a label or one below it; names that are not known are left."""
        positions = {name: position for position, name in enumerate(self.names)}
        targets = np.zeros((len(labelled), len(self.labels)), dtype=np.float32)
        for row, names in enumerate(labelled):
            targets[row, [positions[name] for name in names if name in positions]] = 1.0
        return self.close(targets)

    def to_json(self) -> bytes:
        """Return the set as the file `labels.json` of a model."""
        labels = [
            {"name": label.name} if label.parent is None else {"name": label.name, "parent": self.names[label.parent]}
            for label in self.labels
        ]
        value = {"name": self.name, "version": self.version, "labels": labels}
        return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()

    @staticmethod
    def from_json(value: Any) -> LabelSet:
        """Return the set that `to_json` wrote, read as JSON; raises `LabelSetError` for anything else."""
        try:
            names = [str(label["name"]) for label in value["labels"]]
            parents = [label.get("parent") for label in value["labels"]]
            labels = tuple(
                Label(name, None if parent is None else names.index(parent))
                for name, parent in zip(names, parents, strict=True)
            )
            return LabelSet(str(value["name"]), str(value["version"]), labels)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            message = f"no label set: it needs name, version and labels with names ({type(error).__name__}: {error})"
            raise LabelSetError(message) from error


def label_set_of(name: str, version: str, labelled: Sequence[Sequence[str]]) -> LabelSet:
    """Return the set of all labels that occur, sorted by name."""
    return LabelSet(name, version, tuple(Label(one) for one in sorted({one for names in labelled for one in names})))
