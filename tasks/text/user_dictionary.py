"""User dictionaries (`word [frequency] [tag]`): are they well formed, and which are the same.

jieba takes any line that is not blank for a word, a misspelt one too, and says nothing. Here such a line is an error.
Does not load jieba and builds no dictionary; `jieba_engine` does.
"""

from __future__ import annotations

import hashlib
import re

from tasks.text.word_list import WordListError, numbered_lines

#: How jieba 0.42.1 reads a line (`jieba.re_userdict`). A word may hold spaces: jieba's own example has
#: `Edu Trust认证 2000`.
ENTRY = re.compile(r"^(?P<word>.+?)(?P<frequency> [0-9]+)?(?P<tag> [a-z]+)?$")
#: What jieba would silently make part of the word: a number that is no whole number, or a tag not in small letters.
MISSHAPEN_COLUMNS = re.compile(r" [+-]?\d[\d.,]*(?: [0-9A-Za-z_-]+)?$")
CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")
#: More digits than this are taken for a slip: the frequencies of the default dictionary have at most six.
MAX_FREQUENCY_DIGITS = 18


class DictionaryError(WordListError):
    """A user dictionary has a broken line. Correct it: a word, then a frequency and a tag if you like."""

    file_kind = "user dictionary"


def check_user_dictionary(data: bytes) -> None:
    """Raise `DictionaryError` for the first line that jieba would misread; return when there is none."""
    for line_number, line in numbered_lines(data, DictionaryError):
        if reason := _fault_of(line):
            raise DictionaryError(line_number, line, reason)


def user_dictionary_digest(data: bytes | None) -> str:
    """Return the SHA-256 of a user dictionary in hexadecimal, and "" for none or an empty one."""
    return hashlib.sha256(data).hexdigest() if data else ""


def _fault_of(line: str) -> str | None:
    """Say what is wrong with a line: `云计算 3.5` -> `the frequency must be a whole number …`; None when nothing is."""
    if CONTROL_CHARACTER.search(line):
        return "there is a tab or another control character (one space separates the columns)"
    if "  " in line:
        return "there are two spaces together (one space separates the columns)"
    entry = ENTRY.match(line)
    frequency = entry["frequency"] if entry else None
    if frequency is None and MISSHAPEN_COLUMNS.search(line):
        return "the frequency must be a whole number and the tag small letters a to z"
    if frequency is not None and len(frequency.strip()) > MAX_FREQUENCY_DIGITS:
        return f"the frequency has more than {MAX_FREQUENCY_DIGITS} digits"
    return None
