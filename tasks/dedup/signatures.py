"""From texts to what is compared of them: a digest of the normalized text, and a MinHash signature of its trigrams.

Normalized is a text in Unicode's form NFKC (full-width letters and digits become narrow ones) with all white space
taken out. Its shingles are all runs of three characters: Chinese has no spaces to cut words at, and three characters
are about a word and a half. MinHash: Broder, "On the resemblance and containment of documents" (1997); of each number
16 bits are kept, as in Li and König, "b-Bit Minwise Hashing" (2010): two texts without a shingle in common agree in
one number of 65,536.

Groups nothing and stores nothing.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
import rensa

#: Characters of a shingle; three code points of 21 bits fit one number, so that no two shingles are taken for one.
SHINGLE_CHARS = 3
#: Bytes of a text's SHA-256 that are kept: among 10⁸ texts, two get the same by chance once in 10²² corpora.
DIGEST_BYTES = 16
#: Of the hash functions; another seed would give other signatures of the same worth.
SEED = 20_240_708
_CODE_POINT_BITS = 21


def normalize(text: str) -> str:
    """Return a text as it is compared: `"ＡＢＣ　１２ 三"` -> `"ABC12三"`."""
    return "".join(unicodedata.normalize("NFKC", text).split())


def text_digest(normalized: str) -> bytes:
    """Return the digest by which equal texts are found."""
    return hashlib.sha256(normalized.encode()).digest()[:DIGEST_BYTES]


def identity() -> dict[str, str]:
    """Return what else decides digests and signatures: the tables of Unicode, and the algorithm of the library."""
    return {
        "unicode": unicodedata.unidata_version,
        "rensa": str(rensa.RMinHash.ALGORITHM_VERSION),
        "shingle_chars": str(SHINGLE_CHARS),
        "seed": str(SEED),
    }


def signatures(normalized: Sequence[str], slots: int) -> Any:
    """Return the signatures of some texts, (texts, slots) numbers of 16 bits; each depends on its own text alone."""
    if not normalized:
        return np.empty((0, slots), np.uint16)
    hashes, ends = shingle_hashes(normalized)
    matrix = rensa.RMinHash.digest_matrix_from_flat_token_hashes(hashes, ends, slots, SEED)
    numbers = np.array(matrix.to_rows(), np.uint32)
    # The product's upper half: in a long text the smallest hashes are small numbers, whose upper bits are all zero.
    return ((numbers * np.uint32(2_654_435_769)) >> np.uint32(16)).astype(np.uint16)


def shingle_hashes(normalized: Sequence[str]) -> tuple[Any, Any]:
    """Return the hashes of the shingles of all texts, one after the other, and where each text's begin and end."""
    # A text of fewer characters is one shingle, filled up with what no document contains.
    padded = [text.ljust(SHINGLE_CHARS, "\0") for text in normalized]
    codes = np.frombuffer("".join(padded).encode("utf-32-le"), "<u4").astype(np.uint64)
    text_ends = np.cumsum([len(text) for text in padded])
    hashes = codes[: len(codes) - SHINGLE_CHARS + 1].copy()
    for step in range(1, SHINGLE_CHARS):
        hashes <<= np.uint64(_CODE_POINT_BITS)
        hashes |= codes[step : len(codes) - SHINGLE_CHARS + 1 + step]
    is_within = np.ones(len(codes), np.bool_)
    for step in range(1, SHINGLE_CHARS):
        # Those that begin so shortly before an end reach into the next text.
        is_within[text_ends - step] = False
    hashes = hashes[is_within[: len(hashes)]]
    mix(hashes)
    ends = np.zeros(len(padded) + 1, np.uint64)
    ends[1:] = text_ends - np.arange(1, len(padded) + 1) * (SHINGLE_CHARS - 1)
    return hashes, ends


def mix(numbers: Any) -> None:
    """Spread 64-bit numbers over all of their range, in place: the finalizer of SplitMix64 (Steele and others, 2014).

    One to one, so that no two numbers become one.
    """
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        numbers ^= numbers >> np.uint64(shift)
        numbers *= np.uint64(factor)
    numbers ^= numbers >> np.uint64(31)
