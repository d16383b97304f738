"""A document as the clause tagger takes it: its first clauses, numbers about each, and its characters in buckets.

Computed on the CPU from the text alone; knows no network.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.text.clauses import MAX_CLAUSE_CHARS, Span, clauses, sentences
from tasks.text.rouge import normalize
from tasks.text.textrank import clause_ranks

#: Clauses that are read, from the beginning of a document; what comes later is in no summary.
MAX_CLAUSES = 128
#: Rows of the table of embeddings: characters and bigrams share them by hash.
BUCKETS = 1 << 14
#: Entries of the table of bigrams' inverse document frequencies, by hash.
FREQUENCY_BUCKETS = 1 << 15
#: The clauses of a document's beginning whose words are looked for in the others.
OPENING_CLAUSES = 8
#: Marks and words that clauses of a summary have more or less often than others.
CUES = ("“", "”", "：", ":", "？", "?", "！", "（", "《")
#: Features that are also given of the clause behind and of the one before.
_NEIGHBOURLY = (5, 6, 8, 9, 12)
#: First and last code point of what is counted in normalized, lower-case clauses.
_DIGITS = (ord("0"), ord("9"))
_LETTERS = (ord("a"), ord("z"))
#: Numbers about a clause.
FEATURES = 20 + len(CUES) + 2 * len(_NEIGHBOURLY)

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ClauseWindow:
    """The clauses of one document, T of them."""

    spans: tuple[Span, ...]
    #: Normalized characters of every clause, (T,).
    chars: Floats
    #: (T, FEATURES)
    features: Floats
    #: Buckets of the characters and bigrams of all clauses, one after the other, and how many are each clause's, (T,).
    buckets: Integers
    bucket_counts: Integers

    @property
    def length(self) -> int:
        """How many clauses it has."""
        return len(self.spans)


def clause_window(text: str, inverse_frequencies: Floats) -> ClauseWindow:
    """Read a text's beginning; `inverse_frequencies` is the table of `inverse_document_frequencies`."""
    head = text[: MAX_CLAUSES * MAX_CLAUSE_CHARS]
    spans = clauses(head)[:MAX_CLAUSES]
    pieces = [normalize(head[start:end]) for start, end in spans]
    codes = [_codes(piece) for piece in pieces]
    grams = [_bigrams(code) for code in codes]
    features = np.concatenate([_own(head, spans, pieces, codes, inverse_frequencies), _cues(head, spans)], axis=1)
    bags = [np.concatenate([code * 2, gram * 2 + 1]) for code, gram in zip(codes, grams, strict=True)]
    return ClauseWindow(
        spans=tuple(spans),
        chars=np.array([len(piece) for piece in pieces], dtype=np.float32),
        features=np.concatenate([features, *_neighbours(features)], axis=1).astype(np.float32),
        buckets=_hashed(np.concatenate([*bags, np.zeros(0, np.uint64)]), BUCKETS),
        bucket_counts=np.array([len(bag) for bag in bags], dtype=np.int64),
    )


def inverse_document_frequencies(texts: list[str]) -> Floats:
    """Return log((N + 1) / (n + 1)) for every bucket of bigrams, (FREQUENCY_BUCKETS,)."""
    documents = np.zeros(FREQUENCY_BUCKETS, dtype=np.float32)
    for text in texts:
        grams = _bigrams(_codes(normalize(text[: MAX_CLAUSES * MAX_CLAUSE_CHARS])))
        documents[np.unique(_hashed(grams, FREQUENCY_BUCKETS))] += 1
    table: Floats = np.log((len(texts) + 1) / (documents + 1)).astype(np.float32)
    return table


def _codes(piece: str) -> NDArray[np.uint64]:
    # A lone surrogate is a character too.
    return np.frombuffer(piece.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)


def _bigrams(codes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return (codes[:-1] << np.uint64(21)) | codes[1:]


def _count(codes: NDArray[np.uint64], kind: tuple[int, int]) -> int:
    return int(np.count_nonzero((codes >= kind[0]) & (codes <= kind[1])))


def _hashed(keys: NDArray[np.uint64], buckets: int) -> Integers:
    """Return a bucket for every key, by Fibonacci hashing (Knuth, TAOCP 3, 6.4)."""
    shift = np.uint64(64 - int(buckets).bit_length() + 1)
    return ((keys * np.uint64(0x9E3779B97F4A7C15)) >> shift).astype(np.int64)


def _own(
    text: str, spans: list[Span], pieces: list[str], codes: list[NDArray[np.uint64]], inverse_frequencies: Floats
) -> Floats:
    """Return what is known of every clause by itself and by its place, (T, 20)."""
    count = len(spans)
    chars = np.array([len(piece) for piece in pieces], dtype=np.float64)
    before = np.concatenate([[0.0], np.cumsum(chars)[:-1]])
    ranks = clause_ranks(pieces) * count
    sentence, line, first_of_sentence, first_of_line = _layout(text, spans)
    columns = [
        np.log1p(np.arange(count)),
        np.log1p(before),
        before / (chars.sum() + 1.0),
        np.full(count, np.log1p(count)),
        np.full(count, np.log1p(chars.sum())),
        np.log1p(chars),
        ranks,
        np.log1p(np.argsort(np.argsort(-ranks))),
        *_word_columns([_bigrams(code) for code in codes], inverse_frequencies),
        np.log1p(sentence),
        np.log1p(line),
        first_of_sentence,
        first_of_line,
        *(np.array([_count(code, kind) for code in codes]) for kind in (_DIGITS, _LETTERS)),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def _word_columns(grams: list[NDArray[np.uint64]], inverse_frequencies: Floats) -> list[NDArray[np.float64]]:
    """Return how repeated, how rare and how central the bigrams of every clause are, six columns of (T,)."""
    owner = np.repeat(np.arange(len(grams)), [len(gram) for gram in grams])
    hashed = _hashed(np.concatenate([*grams, np.zeros(0, np.uint64)]), FREQUENCY_BUCKETS)
    counts = np.bincount(hashed, minlength=FREQUENCY_BUCKETS)
    opening = np.bincount(hashed[owner < OPENING_CLAUSES], minlength=FREQUENCY_BUCKETS)
    own_counts, rarity = counts[hashed], inverse_frequencies[hashed].astype(np.float64)
    weights = np.sqrt(own_counts) * rarity
    sizes = np.maximum(np.bincount(owner, minlength=len(grams)), 1)

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.bincount(owner, values, minlength=len(grams)) / sizes

    greatest = np.zeros(len(grams))
    np.maximum.at(greatest, owner, weights)
    repeated = (own_counts > 1).astype(np.float64)
    return [
        mean(np.log1p(own_counts)),
        mean(weights),
        mean(rarity),
        greatest,
        mean(repeated),
        mean(opening[hashed].astype(np.float64)),
    ]


def _layout(text: str, spans: list[Span]) -> tuple[Integers, Integers, NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the number of every clause's sentence and line, and whether it begins them."""
    begins = {start for start, _ in sentences(text)}
    first_of_sentence = np.array([start in begins for start, _ in spans], dtype=bool)
    ends_line = [False, *("\n" in text[start:end].lstrip("\n") for start, end in spans[:-1])]
    first_of_line = np.array(ends_line[: len(spans)], dtype=bool)
    first_of_line[:1] = True
    return np.cumsum(first_of_sentence), np.cumsum(first_of_line), first_of_sentence, first_of_line


def _cues(text: str, spans: list[Span]) -> Floats:
    return np.array([[cue in text[start:end] for cue in CUES] for start, end in spans], dtype=np.float32)


def _neighbours(features: Floats) -> tuple[Floats, Floats]:
    chosen = features[:, _NEIGHBOURLY]
    nothing = np.zeros_like(chosen[:1])
    return np.concatenate([chosen[1:], nothing]), np.concatenate([nothing, chosen[:-1]])
