"""How jieba cuts runs of letters, digits and `+#&._%-` inside a block, and where a dictionary word makes it differ.

A block is what jieba looks at as a whole: Han characters U+4E00–U+9FD5 and those Latin ones. Knows no segmenter.
"""

from __future__ import annotations

import re

#: The characters of a block that are no letters or digits.
LATIN_SYMBOLS = "+#&._%-"
#: First and last of the characters that a block may hold: jieba's Han characters, letters and digits.
HAN = (("\u4e00", "\u9fd5"),)
LATIN = (("a", "z"), ("A", "Z"), ("0", "9"))
#: Ideographs that stand alone in jieba, while jieba-rs takes them for parts of a block.
RARE_HAN = (("\u3400", "\u4dbf"), ("\u9fd6", "\u9fff"), ("\uf900", "\ufaff"), ("\U00020000", "\U0003ffff"))

_ANY_LATIN = rf"[a-zA-Z0-9{re.escape(LATIN_SYMBOLS)}]"
LATIN_RUN = re.compile(f"{_ANY_LATIN}+")
IS_LATIN = re.compile(_ANY_LATIN).search
IS_BLOCK = re.compile(f"(?:[\u4e00-\u9fd5]|{_ANY_LATIN})+").fullmatch
#: The tokens of a run. With guessing, jieba cuts it by `[a-zA-Z0-9]+(?:\.\d+)?%?` and what lies between stands as a
#: piece; without, letters and digits stay together and every other character stands alone.
TOKENS_OF_RUN = {
    True: re.compile(r"[a-zA-Z0-9]+(?:\.[0-9]+)?%?|[+#&._%\-]+"),
    False: re.compile(r"[a-zA-Z0-9]+|[+#&._%\-]"),
}


def pair_of(word: str) -> str:
    """Return two characters side by side that stand in every text in which a word with Latin characters does.

    Of Han and Latin if there are such: AA制 -> A制, C++ -> C+; "" for a word without Latin characters, and for a single
    character, which is cut alike with and without a dictionary.
    """
    pairs = [word[at : at + 2] for at in range(len(word) - 1) if IS_LATIN(word[at : at + 2])]
    return max(pairs, key=lambda pair: (not LATIN_RUN.fullmatch(pair), not pair.isalnum()), default="")
