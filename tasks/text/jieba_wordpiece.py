"""Tokens for vocabularies that hold whole Chinese words beside characters, as T5-PEGASUS and WoBERT have them.

A text is cut into words; a word of the vocabulary is one token, any other is cut by WordPiece as BERT does it. Without
a word cutter it is plain BERT WordPiece. Adds no special tokens and knows no model.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence

UNKNOWN = "[UNK]"
#: Tokens that stand for no text.
SPECIAL_TOKENS = frozenset({"[PAD]", UNKNOWN, "[CLS]", "[SEP]", "[MASK]"})
#: Marks a piece that goes on inside a word.
CONTINUATION = "##"
#: A longer run without a blank is one unknown token, as in BERT.
MAX_WORD_CHARS = 100
#: The share of a vocabulary's entries from which on its Chinese words are taken to be meant.
WORD_SHARE = 0.05
#: The blocks that BERT takes for Chinese characters: each such character is a word by itself.
_IDEOGRAPHS = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002a6df\U0002a700-\U0002ceaf\U0002f800-\U0002fa1f"
#: Ideographs and the punctuation that is set with them, full-width forms included.
_CHINESE = _IDEOGRAPHS + "\u3000-\u303f\uff00-\uffef\u2018-\u201d\u2014\u2026\u00b7"
_IDEOGRAPH = re.compile(f"[{_IDEOGRAPHS}]")
_WORD = re.compile(f"[{_IDEOGRAPHS}]{{2,}}")
_BLANKS_BETWEEN_CHINESE = re.compile(f"(?<=[{_CHINESE}])[ \t]+(?=[{_CHINESE}])")


class JiebaWordPiece:
    """One vocabulary, whose entries are numbered as they stand."""

    def __init__(
        self, vocabulary: Sequence[str], cut: Callable[[str], list[str]] | None = None, *, lower_case: bool = True
    ) -> None:
        """`cut` cuts a text into words; None for WordPiece alone."""
        self._tokens = tuple(vocabulary)
        # The last of two equal entries wins, as in BERT's own reader.
        self._ids = {token: position for position, token in enumerate(vocabulary)}
        self._cut = cut
        self._lower_case = lower_case
        self._table = _CharTable(drops_accents=lower_case)
        self._unknown_id = self._ids[UNKNOWN]

    def encode(self, text: str) -> list[int]:
        """Return the numbers of a text's tokens."""
        numbers: list[int] = []
        for word in self._words(text):
            known = self._ids.get(word)
            if known is None:
                numbers.extend(self._ids.get(piece, self._unknown_id) for piece in self._pieces(word))
            else:
                numbers.append(known)
        return numbers

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of tokens, without special ones."""
        return join_tokens(self._tokens[number] for number in ids)

    def tokenize(self, text: str) -> list[str]:
        """Cut a text into tokens.

        With 研究 in the vocabulary and 员 as a character: 研究员 -> [研究员] if it is there, else [研, 究, 员].
        """
        return [piece for word in self._words(text) for piece in ((word,) if word in self._ids else self._pieces(word))]

    def _words(self, text: str) -> list[str]:
        if self._lower_case:
            # Decomposed, so that an accent is a character of its own, which the table drops.
            text = unicodedata.normalize("NFD", text.lower())
        if self._cut is None:
            return text.translate(self._table).split()
        if self._lower_case:
            text = text.translate(_ACCENTS)
        words: list[str] = []
        for word in self._cut(text):
            words.extend((word,) if word in self._ids else word.translate(self._table).split())
        return words

    def _pieces(self, word: str) -> list[str]:
        """Return the longest pieces of the vocabulary that make up a word, from its left; unknown if none do."""
        if len(word) > MAX_WORD_CHARS or (len(word) == 1 and word not in self._ids):
            return [UNKNOWN]
        pieces: list[str] = []
        start = 0
        while start < len(word):
            mark = CONTINUATION if start else ""
            ends = range(len(word), start, -1)
            end = next((end for end in ends if mark + word[start:end] in self._ids), None)
            if end is None:
                return [UNKNOWN]
            pieces.append(mark + word[start:end])
            start = end
        return pieces


class _AccentTable(dict[int, str]):
    """For `str.translate`: drops accents and nothing else."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        self[code] = value = "" if unicodedata.category(char) == "Mn" else char
        return value


_ACCENTS = _AccentTable()


class _CharTable(dict[int, str]):
    """For `str.translate`: sets blanks around what is a word by itself, and drops what is invisible.

    Filled as characters come up: translating is then one look-up a character, many times faster than deciding anew.
    """

    def __init__(self, *, drops_accents: bool) -> None:
        super().__init__()
        self._drops_accents = drops_accents

    def __missing__(self, code: int) -> str:
        char = chr(code)
        self[code] = value = self._replacement(char, unicodedata.category(char))
        return value

    def _replacement(self, char: str, category: str) -> str:
        if char in "\t\n\r" or category[0] == "Z":
            return " "
        if char in "\0\ufffd" or category[0] == "C" or (self._drops_accents and category == "Mn"):
            return ""
        # All of ASCII that is neither letter nor digit is punctuation to BERT, `$` and `^` too.
        is_symbol = char.isascii() and not char.isalnum()
        return f" {char} " if is_symbol or category[0] == "P" or _IDEOGRAPH.match(char) else char


def holds_chinese_words(vocabulary: Sequence[str]) -> bool:
    """Say whether a vocabulary is meant for texts cut into words: enough of it is Chinese words, not characters."""
    words = sum(1 for token in vocabulary if _WORD.fullmatch(token))
    return words > WORD_SHARE * len(vocabulary)


def join_tokens(tokens: Iterable[str]) -> str:
    """Put WordPiece tokens together: a blank only between two words that are both written without Chinese.

    >>> join_tokens(["基", "于", "deep", "learn", "##ing", "的", "3", ".", "5", "版"])
    '基于deep learning的3.5版'
    """
    text = ""
    for token in tokens:
        if not token or token in SPECIAL_TOKENS or token.startswith("[unused"):
            continue
        if token.startswith(CONTINUATION) and len(token) > len(CONTINUATION):
            text += token[len(CONTINUATION) :]
        else:
            text += f" {token}" if text and _is_letter(text[-1]) and _is_letter(token[0]) else token
    return text


def _is_letter(char: str) -> bool:
    return char.isalnum() and not _IDEOGRAPH.match(char)


def drop_blanks_between_chinese(text: str) -> str:
    """Remove the blanks between two Chinese characters or marks; those beside Latin words stay.

    >>> drop_blanks_between_chinese("北 京 ， BERT 模 型")
    '北京， BERT 模型'
    """
    return _BLANKS_BETWEEN_CHINESE.sub("", text)
