"""What one text comes to by plain Python, to hold signatures against; only the library's MinHash is the same."""

from __future__ import annotations

import hashlib
import unicodedata

import rensa

from tasks.dedup.signatures import DIGEST_BYTES, SEED, SHINGLE_CHARS

_MASK = (1 << 64) - 1


def reference_digest(text: str) -> bytes:
    """Return the digest of a text's characters that are no white space, in Unicode's form NFKC."""
    kept = (character for character in unicodedata.normalize("NFKC", text) if not character.isspace())
    return hashlib.sha256("".join(kept).encode()).digest()[:DIGEST_BYTES]


def reference_signature(text: str, slots: int) -> list[int]:
    """Return the signature of a text, one shingle after the other."""
    kept = [ord(character) for character in unicodedata.normalize("NFKC", text) if not character.isspace()]
    kept += [0] * (SHINGLE_CHARS - len(kept))
    shingles = set()
    for start in range(len(kept) - SHINGLE_CHARS + 1):
        packed = 0
        for code in kept[start : start + SHINGLE_CHARS]:
            packed = packed << 21 | code
        shingles.add(_mixed(packed))
    (numbers,) = rensa.RMinHash.digest_matrix_from_token_hash_sets([sorted(shingles)], slots, SEED).to_rows()
    return [(number * 2_654_435_769 & 0xFFFFFFFF) >> 16 for number in numbers]


def _mixed(number: int) -> int:
    number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    number = (number ^ number >> 27) * 0x94D049BB133111EB & _MASK
    return number ^ number >> 31
