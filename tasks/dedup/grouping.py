"""Groups of documents that say the same, from their places, digests and signatures. Reads and writes no database.

Two documents are exact duplicates when their normalized texts are equal, and near ones when their signatures agree in
at least the asked share of their numbers and, so that not all pairs are compared, in a whole band. A group is all that
hangs together by such pairs: its first and its last member may be less alike than that. Neither the order in which
shards come nor how the corpus was cut into them changes a group: documents are put into the order of their places
first, and what hangs together does not depend on the order in which pairs are found.

Memory: about 100 bytes a document, one band of all documents (10 bytes each at a similarity of 0.8), and a whole
signature (250 bytes) of each text that agrees with another one in some band. Where very many texts share a band and
yet are not alike, all pairs of them are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tasks.dedup.banding import Layout, band_keys

#: Returns one band of all documents, (documents, rows), in the order in which their places were given.
LoadBand = Callable[[int], Any]
#: Pairs whose signatures are compared at a time.
PAIRS_AT_ONCE = 65_536


@dataclass(frozen=True, slots=True)
class Members:
    """The documents that are in groups, as columns, by group and by place in it."""

    #: Which document it is, by its number in the order in which places were given.
    document: Any
    #: Of the group, from 1, in order of the first members.
    group: Any
    #: In the group, from 1: the first stands for it.
    number: Any
    #: From 1 in each group: equal texts have equal numbers.
    text: Any
    #: To the group's first member: the share of the numbers of the two signatures that are equal.
    similarity: Any


def group_documents(
    places: tuple[Any, Any, Any], texts: Any, load_band: LoadBand, layout: Layout, similarity: float
) -> Members:
    """Return the members of all groups.

    `places` are three columns that order the documents (position, offset, document), `texts` the digests, (documents,
    2) numbers of 64 bits.
    """
    order = np.lexsort(tuple(reversed(places)))
    first_equal = _first_equal(texts[order])
    heads = np.flatnonzero(first_equal == np.arange(len(order)))
    # Of every distinct text one document stands for all from here on.
    rows_of_heads = order[heads]
    near = _NearTexts(lambda band: load_band(band)[rows_of_heads], len(heads), layout, similarity)
    text_of = np.searchsorted(heads, first_equal)
    return _members(order, text_of, near)


def _first_equal(texts: Any) -> Any:
    """Return, for every document, the first one with the same text."""
    count = len(texts)
    # Stable: equal texts stay in the order of their places.
    order = np.lexsort((texts[:, 1], texts[:, 0]))
    ordered = texts[order]
    is_new = np.ones(count, np.bool_)
    np.any(ordered[1:] != ordered[:-1], axis=1, out=is_new[1:])
    first = np.empty(count, np.int64)
    first[order] = order[np.flatnonzero(is_new)][np.cumsum(is_new) - 1]
    return first


class _NearTexts:
    """Distinct texts, and which of them hang together."""

    def __init__(self, load_band: LoadBand, count: int, layout: Layout, similarity: float) -> None:
        self._layout = layout
        #: Equal numbers that two signatures must have.
        self._needed = int(np.ceil(similarity * layout.slots - 1e-9))
        self._candidates = self._find_candidates(load_band, count)
        self._signatures = self._load_signatures(load_band)
        #: For each text, the first one that it hangs together with.
        self.roots = np.arange(count)
        self.roots[self._candidates] = self._candidates[self._unite()]

    def _find_candidates(self, load_band: LoadBand, count: int) -> Any:
        """Return the texts that agree with another one in some band."""
        agrees = np.zeros(count, np.bool_)
        for band in range(self._layout.bands):
            order, run = _runs(band_keys(load_band(band)))
            agrees[order[_is_in_company(run)]] = True
        return np.flatnonzero(agrees)

    def _load_signatures(self, load_band: LoadBand) -> Any:
        signatures = np.empty((len(self._candidates), self._layout.slots), np.uint16)
        for band in range(self._layout.bands):
            signatures[:, self._columns(band)] = load_band(band)[self._candidates]
        return signatures

    def _columns(self, band: int) -> slice:
        return slice(band * self._layout.rows, (band + 1) * self._layout.rows)

    def _unite(self) -> Any:
        """Return, for each candidate, the first candidate that it hangs together with."""
        parents = np.arange(len(self._candidates))
        for band in range(self._layout.bands):
            for left, right in _pairs(band_keys(self._signatures[:, self._columns(band)]), parents):
                matches = self._count_equal(left, right) >= self._needed
                _join(parents, left[matches], right[matches])
        return parents

    def _count_equal(self, left: Any, right: Any) -> Any:
        return np.count_nonzero(self._signatures[left] == self._signatures[right], axis=1)

    def similarities(self, texts: Any, others: Any) -> Any:
        """Return how similar pairs of texts are; a text to itself is 1."""
        found = np.ones(len(texts))
        differ = np.flatnonzero(texts != others)
        for start in range(0, len(differ), PAIRS_AT_ONCE):
            some = differ[start : start + PAIRS_AT_ONCE]
            left, right = (np.searchsorted(self._candidates, one[some]) for one in (texts, others))
            found[some] = self._count_equal(left, right) / self._layout.slots
        return found


def _runs(keys: Any) -> tuple[Any, Any]:
    """Return the order that puts equal keys together, and the number of the run that each is in."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    run = np.zeros(len(keys), np.int64)
    np.cumsum(ordered[1:] != ordered[:-1], out=run[1:])
    return order, run


def _is_in_company(run: Any) -> Any:
    return np.bincount(run)[run] > 1 if len(run) else np.zeros(0, np.bool_)


def _pairs(keys: Any, parents: Any) -> Iterator[tuple[Any, Any]]:
    """Yield all pairs of equal keys, but those that hang together by then, as two columns, some at a time."""
    order, run = _runs(keys)
    company = _is_in_company(run)
    order, run = order[company], run[company]
    distance = 1
    while len(order) > distance:
        order, run = _without_united(order, run, parents)
        is_pair = np.flatnonzero(run[distance:] == run[:-distance])
        if not len(is_pair):
            return
        for start in range(0, len(is_pair), PAIRS_AT_ONCE):
            some = is_pair[start : start + PAIRS_AT_ONCE]
            left, right = order[some], order[some + distance]
            apart = parents[left] != parents[right]
            if apart.any():
                yield left[apart], right[apart]
        distance += 1


def _without_united(order: Any, run: Any, parents: Any) -> tuple[Any, Any]:
    """Leave out the runs whose members all hang together."""
    if not len(run):
        return order, run
    starts = np.flatnonzero(np.concatenate(([True], run[1:] != run[:-1])))
    roots = parents[order]
    is_open = np.minimum.reduceat(roots, starts) != np.maximum.reduceat(roots, starts)
    keep = np.repeat(is_open, np.diff(np.append(starts, len(run))))
    return order[keep], run[keep]


def _join(parents: Any, left: Any, right: Any) -> None:
    """Let pairs hang together; every one of `parents` is the first of all it hangs together with, before and after."""
    for one, other in zip(left.tolist(), right.tolist(), strict=True):
        first, second = _root(parents, one), _root(parents, other)
        parents[max(first, second)] = min(first, second)
    while True:
        above = parents[parents]
        if np.array_equal(above, parents):
            return
        parents[:] = above


def _root(parents: Any, one: int) -> int:
    while parents[one] != one:
        one = int(parents[one])
    return one


def _members(order: Any, text_of: Any, near: _NearTexts) -> Members:
    """Put the documents of all groups together; `order` gives each its number, `text_of` its text."""
    root = near.roots[text_of]
    in_company = np.flatnonzero(np.bincount(root, minlength=1)[root] > 1)
    # By group, and in it by place: a root is the first text of its group, and texts are numbered by first places.
    in_company = in_company[np.argsort(root[in_company], kind="stable")]
    roots, texts = root[in_company], text_of[in_company]
    is_first = np.ones(len(roots), np.bool_)
    is_first[1:] = roots[1:] != roots[:-1]
    starts, group = np.flatnonzero(is_first), np.cumsum(is_first)
    number = np.arange(len(roots)) - starts[group - 1]
    ordinal = _by_first(texts)
    text = ordinal - ordinal[starts[group - 1]]
    return Members(order[in_company], group, number + 1, text + 1, near.similarities(texts, roots))


def _by_first(values: Any) -> Any:
    """Return the numbers of values in the order in which they first come: `[7, 3, 7, 5]` -> `[0, 1, 0, 2]`."""
    _, first, which = np.unique(values, return_index=True, return_inverse=True)
    ordinal = np.empty(len(first), np.int64)
    ordinal[np.argsort(first)] = np.arange(len(first))
    return ordinal[which]
