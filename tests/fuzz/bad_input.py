"""Makes files that are nearly right: a valid file of some format, mended badly, cut, packed, named. Judges nothing.

Everything is drawn from `Choices`: one generator serves a seeded source, hypothesis and a coverage-guided fuzzer. Equal
choices make equal files.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from storage.sources import Compression, Format, ListingOptions
from tests.fuzz.containers import Container, pack
from tests.fuzz.mutations import mutated
from tests.fuzz.parquet_input import parquet_bytes

Item = TypeVar("Item")

#: Of a hundred files, so many of each format.
FORMATS: Sequence[Format] = (
    *("jsonl",) * 28,
    *("csv",) * 20,
    *("tsv",) * 8,
    *("lines",) * 18,
    *("txt",) * 10,
    *("thucnews",) * 6,
    *("parquet",) * 10,
)
COMPRESSIONS: Sequence[Compression] = ("", "", "", "gz", "zst", "bz2")
ENCODINGS = ("utf-8", "utf-8", "utf-8", "gb18030", "auto", "gbk", "big5")
SUFFIXES: dict[str, str] = {"lines": ".txt", "thucnews": ".txt"}
KEY_FIELDS = (None, None, "id", "编号")
#: A field of JSON with any kind of value.
ANY_FIELD = "元"
#: What texts are put together from: words, and whatever has ever ended a line, a field or a program too early.
PIECES = (
    *(
        "北京大学",
        "的学生",
        "来到了",
        "图书馆。",
        "自然语言处理",
        "他说：",
        "天气很好，",
        "新华社记者",
        "３月５日",
        "龘靐",
    ),
    *("hello", "GPT-4", " ", "\t", ",", '"', '""', "'", "\\", "/", "{", "}", "[", "]", ":", "0", "-1e9", "\\u0000"),
    *("\r", "\n", "\r\n", "\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1e", "\ufeff", "\u200b", "\u3000"),
    *("𠀀", "😀", "👨‍👩‍👧", "e\u0301", "\u202e", "\uffff", "\ue000", "\x7f", "\x1b[31m", "€", "ё", "ｱ"),
)
NUL = "\0"
#: The limit for a record that users have unless they set another.
WHOLE_RECORD = 16 * 1024**2
LINE_ENDS = ("\n", "\n", "\n", "\r\n", "\r\n", "\r", "\n\n", "\u2028", "")


class Choices(Protocol):
    """Where every decision comes from."""

    def integer(self, low: int, high: int) -> int:
        """Return a number from `low` to `high`, both included."""

    def choose(self, items: Sequence[Item]) -> Item:
        """Return one of some items."""


@dataclass(frozen=True, slots=True)
class BadInput:
    """A file and how it is to be read. `payload` is what its container held before that was damaged."""

    format: Format
    name: str
    data: bytes
    payload: bytes
    container: Container
    listing: ListingOptions
    is_stdin: bool = False


def bad_input(choices: Choices) -> BadInput:
    """Return a file that most readers would rather not have met."""
    format_ = choices.choose(FORMATS)
    return bad_file(choices, format_, _listing(choices, format_))


def bad_file(choices: Choices, format_: Format, listing: ListingOptions) -> BadInput:
    """Return a file of one format that is to be read in one way."""
    payload = _payload(choices, format_, listing)
    if choices.integer(0, 2):
        payload = mutated(choices, payload)
    return _packed(choices, format_, listing, payload)


def raw_input(choices: Choices, payload: bytes) -> BadInput:
    """Return a file of some format that holds these very bytes."""
    format_ = choices.choose(FORMATS)
    return _packed(choices, format_, _listing(choices, format_), payload)


def _packed(choices: Choices, format_: Format, listing: ListingOptions, payload: bytes) -> BadInput:
    compression = choices.choose(COMPRESSIONS)
    container, data = pack(choices, payload, compression)
    is_stdin = not compression and format_ != "thucnews" and choices.integer(0, 15) == 0
    suffix = SUFFIXES.get(format_, f".{format_}") + (f".{compression}" if compression else "")
    return BadInput(format_, f"新闻{suffix}", data, payload, container, listing, is_stdin)


def _listing(choices: Choices, format_: Format) -> ListingOptions:
    has_fields = format_ in {"jsonl", "csv", "tsv", "parquet"}
    # A table whose header is too long is not read at all.
    limit = choices.choose((WHOLE_RECORD, WHOLE_RECORD, WHOLE_RECORD, choices.integer(60 if has_fields else 1, 300)))
    return ListingOptions(
        lines=format_ == "lines",
        layout="thucnews" if format_ == "thucnews" else None,
        encoding=choices.choose(ENCODINGS),
        text_field=choices.choose(("text", "text", "text", "正文")),
        key_field=choices.choose(KEY_FIELDS) if has_fields else None,
        # Whatever stands there is no fault; a table would have to have it as a column.
        date_field=ANY_FIELD if format_ == "jsonl" else None,
        max_record_bytes=limit,
    )


def _payload(choices: Choices, format_: Format, listing: ListingOptions) -> bytes:
    count = choices.choose((0, 1, 1, 2, 3, 4, 6, 9, choices.integer(0, 40)))
    if format_ == "parquet":
        rows = [(text_of(choices), choices.integer(0, 5)) for _ in range(count)]
        return parquet_bytes(choices, rows, listing.text_field, listing.key_field or "id")
    if format_ == "jsonl":
        text = "".join(_json_line(choices, listing) for _ in range(count))
    elif format_ in {"csv", "tsv"}:
        text = _table(choices, listing, "," if format_ == "csv" else "\t", count)
    else:
        text = "".join(text_of(choices) + choices.choose(LINE_ENDS) for _ in range(count))
    return _encoded(choices, text, listing.encoding)


def text_of(choices: Choices) -> str:
    """Return a text of some pieces; sometimes a long one."""
    pieces = [choices.choose(PIECES) for _ in range(choices.integer(0, 8))]
    if choices.integer(0, 30) == 0:
        pieces.append(NUL)
    return "".join(pieces) * choices.choose((1, 1, 1, 1, 1, 1, 1, 1, 2, 30))


def _encoded(choices: Choices, text: str, encoding: str) -> bytes:
    if encoding == "auto":
        encoding = choices.choose(("utf-8", "gb18030"))
    if choices.integer(0, 20) == 0:
        encoding = choices.choose(("utf-8", "gb18030", "utf-16", "utf-32-be", "big5"))
    data = text.encode(encoding, choices.choose(("replace", "ignore")))
    return text[:1].encode("utf-8-sig", "replace")[:3] + data if choices.integer(0, 15) == 0 else data


# --- JSON Lines


def _json_line(choices: Choices, listing: ListingOptions) -> str:
    end = choices.choose(LINE_ENDS[:7])
    if choices.integer(0, 3) == 0:
        return _broken_json(choices, listing.text_field) + end
    record: dict[str, Any] = {listing.text_field: _json_value(choices) if choices.integer(0, 9) == 0 else None}
    if record[listing.text_field] is None:
        record[listing.text_field] = text_of(choices)
    if listing.key_field:
        record[listing.key_field] = _json_value(choices) if choices.integer(0, 3) == 0 else choices.integer(0, 9)
    if choices.integer(0, 3) == 0:
        record[ANY_FIELD] = _json_value(choices)
    return json.dumps(record, ensure_ascii=bool(choices.integer(0, 1))) + end


def _json_value(choices: Choices) -> Any:
    return choices.choose(
        (
            *(0, -1, 2**80, 1.5, float("nan"), float("inf"), True, False, None, "", "键", "k" * 600, "\ud800", "a\0b"),
            *([], {}, ["文"], {"text": "文"}, [[[[]]]]),
        )
    )


def _broken_json(choices: Choices, field: str) -> str:
    depth = choices.choose((1, 50, 480, 900, 3000, 100_000)) if choices.integer(0, 4) == 0 else 1
    broken = (
        f'{{"{field}": "\\ud800"}}',
        f'{{"{field}": "\\ud83d\\ude00\\udc00"}}',
        f'{{"{field}": "\\u0000"}}',
        f'{{"{field}": "甲", "{field}": "乙"}}',
        f'{{"{field}": "甲", "x": {"9" * choices.choose((10, 4300, 5000))}}}',
        f'{{"{field}": "甲", "x": {"[" * depth}{"]" * depth}}}',
        "[" * depth,
        '{"x":' * depth,
        f'{{"{field}": "甲"',
        f'{{"{field}": "甲}}',
        f"{{'{field}': '甲'}}",
        f'{{"{field}": "甲"}} {{"{field}": "乙"}}',
        f'{{"{field}": "甲\t乙"}}',
        *("[1]", '"甲"', "null", "1", "NaN", "{}", "", "   ", "\u3000", "\x0c", "\ufeff{}", "//", "{,}", "-", "\\"),
    )
    return choices.choose(broken)


# --- CSV and TSV


def _table(choices: Choices, listing: ListingOptions, delimiter: str, count: int) -> str:
    columns = [listing.text_field, listing.key_field or "id", choices.choose(("类别", "text", "", "a b"))]
    if choices.integer(0, 25) == 0:
        columns = columns[choices.integer(0, 3) :]
    out = io.StringIO(newline="")
    end = choices.choose(("\n", "\r\n", "\n", "\r\n", "\r"))
    quoting: Any = choices.choose((csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC))
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerow(columns)
    for _ in range(count):
        if choices.integer(0, 5) == 0:
            out.write(_broken_row(choices, delimiter) + end)
        else:
            row: list[object] = [text_of(choices), choices.integer(0, 9), choices.choose(("新闻", "", "\n", 1.5))]
            writer.writerow(row if choices.integer(0, 15) else row[: choices.integer(0, 3)] * choices.integer(1, 2))
    return out.getvalue()


def _broken_row(choices: Choices, delimiter: str) -> str:
    return choices.choose(
        (
            f'"未完{delimiter}1{delimiter}x',
            f'"甲"乙{delimiter}1{delimiter}x',
            f'甲"乙{delimiter}1{delimiter}x',
            f'"甲""{delimiter}1{delimiter}x',
            f'"甲\n乙"{delimiter}1{delimiter}x',
            f"甲\r乙{delimiter}1{delimiter}x",
            f'"甲"{delimiter}"1"{delimiter}"x"\r\r',
            *('"', '""', '"""', delimiter, delimiter * 50, "", "甲", f"\0{delimiter}1{delimiter}x"),
        )
    )
