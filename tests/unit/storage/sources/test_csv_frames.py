"""CSV records: the same as the standard library's strict reader finds, and what a stray quote costs."""

from __future__ import annotations

import csv
import io

from hypothesis import given, settings
from hypothesis import strategies as st

from storage.sources.csv_frames import frame_records, split_fields
from storage.sources.frame import NO_END
from storage.sources.window import Window

TEXTS = st.lists(st.sampled_from(["a", '"', '""', ",", "\n", "\r\n", "\r", "中", "\t"]), max_size=12).map("".join)


def _frames(data: bytes, limit_bytes: int = 1000, chunk_bytes: int = 3) -> list[tuple[bytes, str]]:
    chunks = (data[start : start + chunk_bytes] for start in range(0, len(data), chunk_bytes))
    window = Window(chunks, 0)
    return [(frame.data, frame.fault) for frame in frame_records(window, NO_END, limit_bytes, b",")]


@settings(max_examples=500, deadline=None)
@given(TEXTS)
def test_the_first_record_is_that_of_the_strict_reader(text: str) -> None:
    lines = io.StringIO(text, newline="\n")
    try:
        expected = next(csv.reader(lines, strict=True), None)
    except csv.Error:
        expected = ["broken"]
    frames = _frames(text.encode())
    if expected is None:
        assert not frames
    elif frames[0][1]:
        assert expected == ["broken"]
    else:
        found = [field.decode() for field in split_fields(frames[0][0], b",")]
        assert expected == ([] if found == [""] and b'"' not in frames[0][0] else found)


@settings(max_examples=200, deadline=None)
@given(st.lists(TEXTS, max_size=10).map("\n".join), st.integers(1, 50))
def test_frames_tile_the_stream_however_it_is_read(text: str, chunk_bytes: int) -> None:
    frames = _frames(text.encode(), chunk_bytes=chunk_bytes)
    assert b"".join(data for data, _ in frames) == text.encode()
    assert frames == _frames(text.encode(), chunk_bytes=1000)


def test_a_quoted_line_end_is_part_of_its_record() -> None:
    assert _frames(b'a,"b\nc"\nd,e\n') == [(b'a,"b\nc"\n', ""), (b"d,e\n", "")]


def test_a_quote_that_is_never_closed_costs_its_line_only() -> None:
    assert _frames(b'a,b\nc,"d\ne,f\ng,h') == [
        (b"a,b\n", ""),
        (b'c,"d\n', "broken_csv"),
        (b"e,f\n", ""),
        (b"g,h", ""),
    ]


def test_a_quote_that_is_not_closed_within_the_limit_costs_its_line_only() -> None:
    rows = b"e,f\n" * 50
    frames = _frames(b'c,"d\n' + rows + b'"\n', limit_bytes=40)
    assert frames[0] == (b'c,"d\n', "broken_csv")
    assert [data for data, fault in frames[1:] if not fault] == [b"e,f\n"] * 50


def test_text_behind_a_closing_quote_breaks_a_record() -> None:
    assert _frames(b'"a"b,c\nd,e\n') == [(b'"a"b,c\n', "broken_csv"), (b"d,e\n", "")]


def test_quotes_inside_a_plain_field_are_characters() -> None:
    assert _frames(b'a "b" c,d\n') == [(b'a "b" c,d\n', "")]
    assert split_fields(b'a "b" c,"d"\r\n', b",") == [b'a "b" c', b"d"]
