"""jieba's default dictionary in 2 MB instead of 70, for an engine that asks it for a few blocks only.

A look-up takes a microsecond, twenty times as long as in jieba's own table; so jieba as the engine itself has that one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import marisa_trie

from tasks.text.frequency_cache import load_cached
from tasks.text.jieba_engine import Frequencies, engine_identity, parse_default_dictionary
from tasks.text.latin_runs import IS_BLOCK, IS_LATIN

#: The dictionary of the jieba that is pinned, made beforehand: to parse it takes a second of every first run.
SHIPPED = Path(__file__).with_name("default_dictionary")
#: A signed number of 64 bits.
_RECORD = "<q"


class CompactFrequencies:
    """Word -> frequency, prefixes of words with 0 among them, as far as jieba asks when it cuts."""

    def __init__(self, trie: Any) -> None:
        """Take a trie whose records are one frequency each."""
        self._trie = trie

    def __contains__(self, word: str) -> bool:
        """Say whether a word, or the beginning of one, is in the dictionary."""
        return word in self._trie

    def __getitem__(self, word: str) -> int:
        """Return the frequency of a word or prefix; raises KeyError for another."""
        return int(self._trie[word][0][0])

    @overload
    def get(self, word: str) -> int | None: ...
    @overload
    def get(self, word: str, default: int) -> int: ...
    def get(self, word: str, default: int | None = None) -> int | None:
        """Return the frequency of a word or prefix, or the default for another."""
        found = self._trie.get(word)
        return default if found is None else int(found[0][0])


@dataclass(frozen=True, slots=True)
class CompactDictionary:
    """What the fast engine needs to know of the default dictionary."""

    frequencies: CompactFrequencies
    #: The sum of frequencies by which jieba weighs its words; it adds a repeated word's each time.
    total: int
    #: The sum of the frequencies as they stand.
    held: int
    #: Its words with Latin characters.
    mixed_words: frozenset[str]


def load_compact(cache_dir: Path, digest: str, parse: Callable[[], Frequencies]) -> CompactDictionary:
    """Return the dictionary with this digest: that of the pinned jieba came along, another is parsed and kept."""
    name = f"{digest[:32]}.dictionary"
    if (SHIPPED / name).exists():
        return _unpacked((SHIPPED / name).read_bytes())
    return _unpacked(load_cached(cache_dir / name, lambda: pack(parse())))


def pack(parsed: Frequencies) -> bytes:
    """Return a parsed dictionary in its compact form: a line of JSON, then the trie."""
    frequencies, total = parsed
    trie = marisa_trie.RecordTrie(_RECORD, ((word, (count,)) for word, count in frequencies.items()))
    header = {"total": total, "held": sum(frequencies.values()), "mixed_words": sorted(mixed_words(frequencies))}
    return json.dumps(header, ensure_ascii=False).encode() + b"\n" + bytes(trie.tobytes())


def _unpacked(packed: bytes) -> CompactDictionary:
    header, _, records = packed.partition(b"\n")
    trie = marisa_trie.RecordTrie(_RECORD).frombytes(records)
    known = json.loads(header)
    return CompactDictionary(CompactFrequencies(trie), known["total"], known["held"], frozenset(known["mixed_words"]))


def mixed_words(frequencies: Mapping[str, int]) -> frozenset[str]:
    """Return the words with Latin characters that may stand in a block."""
    return frozenset(word for word, count in frequencies.items() if count and IS_LATIN(word) and IS_BLOCK(word))


def main() -> None:
    """Write the compact form of the installed jieba's dictionary, to come along: `make dictionary`."""
    SHIPPED.mkdir(exist_ok=True)
    for old in SHIPPED.glob("*.dictionary"):
        old.unlink()
    name = f"{engine_identity()['dictionary'][:32]}.dictionary"
    (SHIPPED / name).write_bytes(pack(parse_default_dictionary()))


if __name__ == "__main__":
    main()
