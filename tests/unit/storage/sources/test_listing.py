"""From the user's arguments to sources, and what is refused with a remedy."""

from __future__ import annotations

import gzip
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage.errors import SourceUnavailableError, UsageError
from storage.sources import (
    KNOWN_SUFFIXES,
    ListedSource,
    ListingOptions,
    Record,
    check_allowed,
    list_sources,
    read,
    source_stamp,
)

PLAIN = ListingOptions()


def _list(inputs: list[str], options: ListingOptions = PLAIN, stdin_dir: Path = Path("/nowhere")) -> list[ListedSource]:
    return list(list_sources(inputs, options, stdin_dir=stdin_dir))


def _make(root: Path, *names: str) -> list[str]:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return [str(root / name) for name in names]


def _uris(listed: list[ListedSource]) -> list[str]:
    return [source.uri for source in listed]


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    filesystem = fsspec.filesystem("memory")
    filesystem.store.clear()
    yield filesystem
    filesystem.store.clear()


def test_a_tree_is_listed_in_the_order_of_its_paths(tmp_path: Path) -> None:
    names = ["a.txt", "b-1/x.txt", "b/新闻　一.jsonl.gz", "b/c/d.ndjson", "b.TXT", "z.tsv.zst"]
    made = _make(tmp_path, *[name for name in names if not name.startswith("z")])
    _make(tmp_path, ".hidden.txt", ".git/a.txt", "notes.doc", "b/.d/e.txt", "b/noname")
    listed = _list([str(tmp_path)])
    assert _uris(listed) == sorted(made)
    assert {source.input for source in listed} == {str(tmp_path)}
    formats = [(source.options.format, source.options.compression) for source in listed]
    assert formats == [("txt", ""), ("txt", ""), ("txt", ""), ("jsonl", ""), ("jsonl", "gz")]


def test_size_and_stamp_are_those_of_the_file(tmp_path: Path) -> None:
    (path,) = _make(tmp_path, "a.txt")
    (source,) = _list([path])
    assert (source.size, source.stamp) == (1, str(Path(path).stat().st_mtime_ns)) == source_stamp(path)
    with pytest.raises(SourceUnavailableError, match="gone"):
        source_stamp(str(tmp_path / "gone"))


def test_a_file_reached_twice_is_listed_once(tmp_path: Path) -> None:
    made = _make(tmp_path, "a/1.txt", "a/2.txt", "b/3.txt")
    (tmp_path / "b" / "link.txt").symlink_to(tmp_path / "a" / "1.txt")
    (tmp_path / "b" / "loop").symlink_to(tmp_path)
    (tmp_path / "a" / "again").symlink_to(tmp_path / "a")
    for inputs in (
        [str(tmp_path), made[0], str(tmp_path / "a")],
        [made[0], str(tmp_path / "a"), str(tmp_path)],
        [str(tmp_path / "b"), str(tmp_path)],
        [str(tmp_path / "**/*.txt"), str(tmp_path)],
    ):
        assert sorted(_uris(_list(inputs))) == made


def test_a_relative_input_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = _make(tmp_path, "d/1.txt", "d/2.jsonl")
    monkeypatch.chdir(tmp_path)
    assert [source.input for source in _list(["d"])] == [str(tmp_path / "d")] * 2
    (source,) = _list(["d/*.txt"])
    assert (source.uri, source.input) == (made[0], str(tmp_path / "d/*.txt"))
    assert _uris(_list(["file://" + made[0]])) == made[:1]


def test_a_name_that_looks_like_a_pattern_is_a_name(tmp_path: Path) -> None:
    made = _make(tmp_path, "a[1].txt", "a1.txt")
    assert _uris(_list(made[:1])) == made[:1]


def test_txt_is_read_as_the_options_say(tmp_path: Path) -> None:
    made = _make(tmp_path, "体育/1.txt")
    for options, expected in [
        (PLAIN, "txt"),
        (ListingOptions(lines=True), "lines"),
        (ListingOptions(layout="thucnews"), "thucnews"),
        (ListingOptions(input_format="jsonl"), "jsonl"),
    ]:
        assert _list(made, options)[0].options.format == expected


def test_options_reach_the_reader(tmp_path: Path) -> None:
    options = ListingOptions(encoding="GBK", text_field="正文", key_field="id", max_record_bytes=5)
    (source,) = _list(_make(tmp_path, "a.jsonl"), options)
    read_as = source.options
    assert (read_as.encoding, read_as.text_field, read_as.key_field, read_as.max_record_bytes) == (
        "gbk",
        "正文",
        "id",
        5,
    )


def test_a_format_makes_up_for_an_unknown_suffix(tmp_path: Path) -> None:
    made = _make(tmp_path, "a.log.gz", "b.log")
    options = ListingOptions(input_format="lines")
    assert [source.options.compression for source in _list([str(tmp_path / "*.log*")], options)] == ["gz", ""]
    assert _uris(_list(made[1:], options)) == made[1:]


@pytest.mark.parametrize(
    ("name", "content", "options", "told"),
    [
        ("a.doc", b"x", PLAIN, "--input-format"),
        ("noname", b"x", PLAIN, KNOWN_SUFFIXES),
        ("a.jsonl", b"{}", ListingOptions(lines=True), "--lines is for .txt"),
        ("a.jsonl", b"{}", ListingOptions(layout="thucnews"), "--layout thucnews is for .txt"),
        ("a.txt", b"x", ListingOptions(encoding="utf-16"), "gb18030"),
        ("a.txt", b"x", ListingOptions(lines=True, layout="thucnews"), "exclude each other"),
        ("a.txt", b"x", ListingOptions(lines=True, input_format="csv"), "--lines is for .txt"),
        ("a.csv", b"id,body\n1,a\n", PLAIN, "id, body"),
        ("a.tsv.gz", gzip.compress(b"text\n1\n", mtime=0), ListingOptions(key_field="id"), "--key-field"),
        ("a.csv", b'"a"b,text\n', PLAIN, "header row"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(
    tmp_path: Path, name: str, content: bytes, options: ListingOptions, told: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError) as caught:
        list_sources([str(tmp_path / name)], options, stdin_dir=tmp_path)
    assert told in str(caught.value)


def test_a_parquet_without_the_column_names_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"标题": ["a"], "body": ["b"]}), path)
    with pytest.raises(UsageError, match="标题, body"):
        _list([str(tmp_path)])
    assert len(_list([str(tmp_path)], ListingOptions(text_field="body"))) == 1


def test_damaged_and_empty_tables_are_left_to_the_reader(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"nothing")
    (tmp_path / "b.csv").write_bytes(b"")
    (tmp_path / "c.csv.gz").write_bytes(gzip.compress(b"text\na\n", mtime=0)[:12])
    assert len(_list([str(tmp_path)])) == 3


def test_what_is_missing_empty_or_special_is_refused_all_at_once(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe.txt")
    inputs = [str(tmp_path / name) for name in ("gone.txt", "empty", "pipe.txt", "*.csv")]
    with pytest.raises(UsageError) as caught:
        list_sources([*inputs, "zzz://x/a.txt", "s3://bucket/a.txt"], PLAIN, stdin_dir=tmp_path)
    message = str(caught.value)
    for told in ("6 inputs", "gone.txt does not exist", "empty holds no file", "pipe.txt", "*.csv", "zzz", "s3fs"):
        assert told in message


def test_at_most_twenty_faults_are_shown(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        _list([str(tmp_path / f"{number}.txt") for number in range(50)])
    assert str(caught.value).count("does not exist") == 20
    assert "and 30 more" in str(caught.value)


def test_no_input_at_all_is_refused() -> None:
    with pytest.raises(UsageError, match="no input"):
        _list([])


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = _make(tmp_path, "a.txt", "b.txt")
    # root may read everything, so the answer of the system is replaced.
    monkeypatch.setattr(os, "access", lambda path, mode: path != made[0])
    with pytest.raises(UsageError, match=r"a\.txt may not be read"):
        _list([str(tmp_path)])


def test_names_that_are_not_utf8_or_too_long_for_keys_are_refused(tmp_path: Path) -> None:
    directory = tmp_path / ("d" * 200) / ("e" * 200)
    _make(directory, "f" * 150 + ".txt")
    with pytest.raises(UsageError, match="too long for keys"):
        _list([str(tmp_path)])
    assert len(_list([str(tmp_path)], ListingOptions(key_field="id"))) == 1
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.txt")).write_bytes(b"x")
    with pytest.raises(UsageError, match="not valid UTF-8"):
        _list([str(tmp_path)])


def test_nothing_outside_the_roots_is_listed(tmp_path: Path) -> None:
    inside, outside = _make(tmp_path, "in/a.txt", "out/b.txt")
    options = ListingOptions(input_roots=(str(tmp_path / "in"),))
    assert _uris(_list([inside], options)) == [inside]
    (tmp_path / "in" / "link.txt").symlink_to(outside)
    for argument in (outside, str(tmp_path), str(tmp_path / "in"), "memory://a.txt"):
        with pytest.raises(UsageError, match=r"outside|does not exist"):
            _list([argument], options)


@pytest.mark.parametrize(
    ("uri", "root", "is_allowed"),
    [
        ("/data/a.txt", "/data", True),
        ("/data/a.txt", "/data/", True),
        ("/database/a.txt", "/data", False),
        ("/data/../etc/a.txt", "/data", False),
        ("/a.txt", "/", True),
        ("s3://bucket/a.txt", "s3://bucket", True),
        ("s3://bucket-2/a.txt", "s3://bucket", False),
        ("s3://bucket/in/../a.txt", "s3://bucket/in", False),
        ("s3://bucket/a.txt", "/", False),
        ("/a.txt", "s3://bucket", False),
    ],
)
def test_roots_are_whole_directories(uri: str, root: str, *, is_allowed: bool) -> None:
    if is_allowed:
        check_allowed(uri, (root,))
    else:
        with pytest.raises(UsageError, match="outside"):
            check_allowed(uri, (root,))


def _give_stdin(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))


def test_standard_input_is_kept_under_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = []
    for data in ("甲\n乙\n", "甲\n乙\n", "丙\n"):
        _give_stdin(monkeypatch, data.encode())
        listed += _list(["-"], stdin_dir=tmp_path / "stdin")
    first, same, other = listed
    assert first == same
    assert first.uri != other.uri
    assert [record.text for record in read(first.uri, first.options) if isinstance(record, Record)] == ["甲", "乙"]
    assert len(list((tmp_path / "stdin").iterdir())) == 2


def test_standard_input_has_the_format_that_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _give_stdin(monkeypatch, b'{"text":"a"}\n')
    (source,) = _list(["-"], ListingOptions(input_format="jsonl"), tmp_path)
    assert (source.options.format, source.uri[-6:]) == ("jsonl", ".jsonl")


def test_a_table_from_standard_input_must_have_its_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _give_stdin(monkeypatch, "标题,正文\n甲,乙\n".encode())
    with pytest.raises(UsageError, match="has no column 'text'; its columns are: 标题, 正文"):
        _list(["-"], ListingOptions(input_format="csv"), tmp_path)


def test_urls_are_listed_by_fsspec(memory: fsspec.AbstractFileSystem) -> None:
    for name in ("/d/a.jsonl", "/d/sub/b.txt", "/d/.hidden/c.txt", "/d/e.doc"):
        memory.pipe(name, '{"text":"甲"}\n'.encode())
    listed = _list(["memory://d"])
    assert [source.uri for source in listed] == ["memory:///d/a.jsonl", "memory:///d/sub/b.txt"]
    assert _uris(_list(["memory://d/*.jsonl"])) == ["memory:///d/a.jsonl"]
    (source,) = _list(["memory:///d/a.jsonl"])
    assert (source.size, source.stamp) == source_stamp(source.uri) == (listed[0].size, listed[0].stamp)
    assert [record.key for record in read(source.uri, source.options)] == ["memory:///d/a.jsonl@0"]
    halves = [*read(source.uri, source.options, 0, 5), *read(source.uri, source.options, 5, -1)]
    assert len(halves) == 1


def test_a_changed_url_has_another_stamp(memory: fsspec.AbstractFileSystem) -> None:
    memory.pipe("/a.txt", b"1")
    before = source_stamp("memory:///a.txt")
    memory.pipe("/a.txt", b"2")
    assert source_stamp("memory:///a.txt") != before


@pytest.mark.parametrize("url", ["memory://gone.txt", "memory://d/*.txt", "memory://d/a.doc"])
def test_urls_that_cannot_be_used_are_refused(memory: fsspec.AbstractFileSystem, url: str) -> None:
    memory.pipe("/d/a.doc", b"1")
    with pytest.raises(UsageError, match=r"gone|\*|suffix"):
        _list([url])
