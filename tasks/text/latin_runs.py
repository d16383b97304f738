"""How jieba cuts runs of letters, digits and `+#&._%-` inside a block, and where a dictionary word makes it differ.

A block is what jieba looks at as a whole: Han characters U+4E00–U+9FD5 and those Latin ones. Knows no segmenter.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection

#: The inside of a character class: jieba's Han characters, and the others that a block may hold.
HAN = "\u4e00-\u9fd5"
LATIN = "a-zA-Z0-9+#&._%\\-"
#: Ideographs that stand alone in jieba, while jieba-rs takes them for parts of a block.
RARE_HAN = "\u3400-\u4dbf\u9fd6-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"

LATIN_RUN = re.compile(f"[{LATIN}]+")
IS_LATIN = re.compile(f"[{LATIN}]").search
#: The tokens of a run. With guessing, jieba cuts it by `[a-zA-Z0-9]+(?:\.\d+)?%?` and what lies between stands as a
#: piece; without, letters and digits stay together and every other character stands alone.
TOKENS_OF_RUN = {
    True: re.compile(r"[a-zA-Z0-9]+(?:\.[0-9]+)?%?|[+#&._%\-]+"),
    False: re.compile(r"[a-zA-Z0-9]+|[+#&._%\-]"),
}
#: Finds a place in every run of two characters or more that is not of letters and digits alone. It begins with one
#: class of characters, which `re` looks for at once; a choice would cost ten times as much.
SPECIAL_RUN = re.compile(rf"[{LATIN}](?:(?<=[a-zA-Z0-9])[a-zA-Z0-9]*+[+#&._%\-]|(?<=[+#&._%\-])[{LATIN}])")


def pairs_of(words: Collection[str]) -> str:
    """Return a pattern that finds, wherever one of some words with Latin characters stands, two characters of it.

    It may find more: its use is to know where to look closer. An empty set gives a pattern that finds nothing.

    ["T恤", "T台", "阿Q"] -> (?:T[恤台]|阿Q), the characters escaped.
    """
    followers: dict[str, set[str]] = defaultdict(set)
    for word in words:
        # A single character is cut alike with and without a dictionary.
        if len(word) > 1 and IS_LATIN(word):
            pair = _rarest_pair(word)
            followers[pair[0]].add(pair[1])
    alternatives = [re.escape(char) + _one_of(after) for char, after in sorted(followers.items())]
    return f"(?:{'|'.join(alternatives)})" if alternatives else "(?!)"


def _rarest_pair(word: str) -> str:
    """Return two characters of a word side by side, of Han and Latin if there are such: AA制 -> A制, C++ -> C+."""
    pairs = [word[at : at + 2] for at in range(len(word) - 1) if IS_LATIN(word[at : at + 2])]
    return max(pairs, key=lambda pair: (not LATIN_RUN.fullmatch(pair), not pair.isalnum()))


def _one_of(chars: Collection[str]) -> str:
    return f"[{''.join(map(re.escape, sorted(chars)))}]"
