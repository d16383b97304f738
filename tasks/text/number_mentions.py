"""Finds the numbers of a text, and their values. Knows no units: 5 metres and 5 % are both a 5.

A number is a run of digits with single `.` and `,` inside and 十百千万亿 behind it (`1,200`, `3.5`, `12万`), or a run
of two and more Chinese numerals (`一百二十`, `二〇二四`); a numeral that stands alone is none, since 一 and 十 are part
of too many words (一种, 十分). Full-width digits are digits. A full-width comma between digits is punctuation; where
commas were folded, both readings are possible, see `Commas`. Equal values have the same name: `1,200`, `一千二百`.
"""

from __future__ import annotations

import re
from typing import Literal

from tasks.text.characters import folded

#: `punctuation`: a full-width comma ends a number. `folded`: it is read like a half-width one, as folded text has it.
Commas = Literal["punctuation", "folded"]

SEPARATORS = ".,"
#: Multipliers, as powers of ten, in their everyday and their formal shape.
_POWERS = {"十": 1, "百": 2, "千": 3, "万": 4, "亿": 8, "拾": 1, "佰": 2, "仟": 3, "萬": 4, "億": 8}
_UNITS = {
    **{numeral: value for value, numeral in enumerate("零一二三四五六七八九")},
    **{numeral: value for value, numeral in enumerate("〇壹贰叁肆伍陆柒捌玖")},
    "两": 2,
    "兩": 2,
    "貳": 2,
    "參": 3,
    "陸": 6,
}
MULTIPLIERS = "".join(_POWERS)
NUMERALS = MULTIPLIERS + "".join(_UNITS)
ZEROS = "零〇"
#: A longer run is not computed: its value is its own letters.
_MAX_NUMERALS = 24
_NUMBER = re.compile(rf"(\d+(?:[{SEPARATORS}]\d+)*)([{MULTIPLIERS}]*)|[{NUMERALS}]{{2,}}")
_GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")


def numbers(text: str, commas: Commas = "punctuation") -> list[str]:
    """Return the numbers of a text as they stand in it once it is folded: `"１２万家，3.5%"` -> `["12万", "3.5"]`."""
    return [match[0] for match in _NUMBER.finditer(read(text, commas))]


def read(text: str, commas: Commas) -> str:
    """Return the folded text, of the same length, in which numbers are looked for."""
    separated = text.replace("，", "、") if commas == "punctuation" else text
    return folded(separated).astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")


def extended(run: str, character: str) -> str:
    """Return what of a number is open behind one more character: `("12", "万")` -> `"12万"`, `("12", "家")` -> `""`.

    It goes on with `run` if it begins with it; else the run has ended. A separator behind digits is open too.
    """
    digits_end = bool(run) and run[-1].isdecimal()
    counts_in_digits = bool(run) and run[0].isdecimal()
    if character.isdecimal():
        return run + character if digits_end or run.endswith(tuple(SEPARATORS)) else character
    if character in SEPARATORS:
        return run + character if digits_end else ""
    if character in _POWERS and counts_in_digits and not run.endswith(tuple(SEPARATORS)):
        return run + character
    if character in NUMERALS:
        return run + character if run and not counts_in_digits else character
    return ""


def finished(run: str) -> str:
    """Return the number that an open run is if nothing more comes, or none: `"12,"` -> `"12"`, `"一"` -> `""`."""
    number = run.rstrip(SEPARATORS)
    return "" if len(number) == 1 and not number.isdecimal() else number


def values(number: str) -> tuple[str, ...]:
    """Return the value of a number, several where its commas group nothing: `"2024,5"` -> `("2024", "5")`."""
    match = _NUMBER.fullmatch(number)
    if match is None or not match[1]:
        return (_numeral_value(number),)
    digits, multipliers = match[1], match[2]
    parts = [digits.replace(",", "")] if _GROUPED.fullmatch(digits) else digits.split(",")
    *before, last = parts
    return (
        *(_digits_value(part, 0) for part in before),
        _digits_value(last, sum(map(_POWERS.__getitem__, multipliers))),
    )


def all_values(text: str) -> frozenset[str]:
    """Return the values of all numbers of a source: whoever repeats one of them, in either reading, invents nothing."""
    found = {*numbers(text), *numbers(text, "folded")}
    return frozenset(value for number in found for value in values(number))


def _digits_value(digits: str, power: int) -> str:
    """Return the plain name of digits times a power of ten: `("03.50", 1)` -> `"35"`; versions stay as they are."""
    plain = "".join(str(int(character)) if character.isdecimal() else character for character in digits)
    whole, _, fraction = plain.partition(".")
    if "." in fraction:
        return plain + "0" * power
    fraction = fraction.ljust(power, "0")
    whole, fraction = (whole + fraction[:power]).lstrip("0") or "0", fraction[power:].rstrip("0")
    return f"{whole}.{fraction}" if fraction else whole


def _numeral_value(numeral: str) -> str:
    if all(character in _UNITS for character in numeral):
        # Digit by digit: 二〇二四.
        return "".join(str(_UNITS[character]) for character in numeral).lstrip("0") or "0"
    value = _spoken_value(numeral) if len(numeral) <= _MAX_NUMERALS else None
    return numeral if value is None else str(value)


def _spoken_value(numeral: str) -> int | None:
    """Return the value of a numeral with multipliers, or None for one that is none, such as 三四十."""
    powers = [_POWERS.get(character, 0) for character in numeral]
    if not any(powers):
        return _UNITS[numeral] if len(numeral) == 1 else None
    place = powers.index(max(powers))
    scale = int("1" + "0" * powers[place])
    head, tail = numeral[:place], numeral[place + 1 :]
    times = _spoken_value(head.lstrip(ZEROS)) if head.lstrip(ZEROS) else 1
    # 三万五 is thirty-five thousand, 十五 fifteen, 三万零五 thirty thousand and five.
    last = scale // 10 if len(tail) == 1 and tail in _UNITS else 1
    rest = _spoken_value(tail.lstrip(ZEROS)) if tail.lstrip(ZEROS) else 0
    if times is None or rest is None or rest * last >= scale:
        return None
    return times * scale + rest * last
