"""Files on a real web server of this machine, served well and served badly."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage.errors import SourceUnavailableError, UsageError
from storage.sources import (
    ListedSource,
    ListingOptions,
    Record,
    check_allowed,
    cut,
    line_number,
    list_sources,
    read,
    record_offsets,
    source_stamp,
    web_request,
)
from storage.sources.byte_stream import open_binary
from storage.sources.web_file import WebFile
from tests.support.file_server import FileServer, running_file_server
from tests.support.tls_proxy import make_certificate

LINES = "".join(f'{{"text":"第{number}行的文字"}}\n' for number in range(2000))
TEXTS = [f"第{number}行的文字" for number in range(2000)]
VERSION = {"ETag": '"v1"'}


@pytest.fixture
def server() -> Iterator[FileServer]:
    with running_file_server() as made:
        yield made


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give silent servers up after a moment."""
    monkeypatch.setattr(web_request, "SILENCE_S", 0.2)
    web_request._pool_of_process.cache_clear()
    yield
    web_request._pool_of_process.cache_clear()


def listed(url: str, **options: object) -> list[ListedSource]:
    return list(list_sources([url], ListingOptions(**options), stdin_dir=Path("/nowhere")))  # type: ignore[arg-type]


def texts_of(source: ListedSource, shard_bytes: int = 1 << 20) -> list[str]:
    """Return the texts of a source, read range by range."""
    found = []
    for offset, length in cut(source.uri, source.size, source.options, shard_bytes):
        for record in read(source.uri, source.options, offset, length):
            assert isinstance(record, Record), record
            found.append(record.text)
    return found


def test_a_plain_file_is_listed_cut_and_read(server: FileServer) -> None:
    url = server.put("/新闻/a.jsonl", LINES, headers=VERSION)
    (source,) = listed(url)
    assert (source.uri, source.size, source.stamp) == (url, len(LINES.encode()), '"v1"')
    ranges = cut(source.uri, source.size, source.options, 10_000)
    assert len(ranges) > 5
    assert texts_of(source, 10_000) == TEXTS
    first = next(read(source.uri, source.options))
    assert isinstance(first, Record)
    assert first.key == f"{url}@0"
    offsets = record_offsets(url, source.options, *ranges[3], limit=2)
    assert line_number(url, source.options, offsets[1]) == LINES.encode()[: offsets[1]].count(b"\n") + 1


def test_a_range_reads_its_own_bytes_alone(server: FileServer) -> None:
    (source,) = listed(server.put("/a.jsonl", LINES, headers=VERSION))
    *_, (offset, length) = cut(source.uri, source.size, source.options, 10_000)
    server.asked.clear()
    assert list(read(source.uri, source.options, offset, length))
    assert [byte_range for _, byte_range in server.asked if byte_range] == [f"bytes={offset - 1}-"]


@pytest.mark.parametrize("shape", [{"has_ranges": False}, {"tells_length": False}, {"headers": {}}])
def test_what_cannot_be_cut_is_read_whole(server: FileServer, shape: dict[str, object]) -> None:
    (source,) = listed(server.put("/a.jsonl", LINES, **{"headers": VERSION, **shape}))
    if shape != {"tells_length": False}:
        assert cut(source.uri, source.size, source.options, 10_000) == [(0, -1)]
    assert texts_of(source) == TEXTS


def test_a_server_without_ranges_and_without_length_gives_everything(server: FileServer) -> None:
    (source,) = listed(server.put("/a.jsonl", LINES, headers=VERSION, has_ranges=False, tells_length=False))
    assert (source.size, source.stamp) == (0, '"v1"')
    assert texts_of(source) == TEXTS


@pytest.mark.parametrize("has_ranges", [True, False])
def test_any_place_of_a_file_can_be_read(server: FileServer, has_ranges: bool) -> None:
    data = os.urandom(300_000)
    url = server.put("/a.bin", data, has_ranges=has_ranges)
    with open_binary(url) as file:
        for offset in (0, 7, 250_000, 3, 299_999, 300_000, 400_000):
            file.seek(offset)
            assert file.read(1000) == data[offset : offset + 1000]
        assert file.seek(-5, io.SEEK_END) == len(data) - 5
        assert file.read() == data[-5:]
        assert file.seek(-2, io.SEEK_CUR) == len(data) - 2


def test_the_end_of_a_file_whose_length_nobody_tells_cannot_be_sought(server: FileServer) -> None:
    url = server.put("/a.bin", b"abc", has_ranges=False, tells_length=False)
    with WebFile(url) as file, pytest.raises(OSError, match="does not say how long it is"):
        file.seek(0, io.SEEK_END)


@pytest.mark.parametrize("suffix", [".gz", ".bz2"])
@pytest.mark.parametrize("headers", [VERSION, {**VERSION, "Content-Encoding": "gzip"}])
def test_compressed_files_come_as_they_lie_there(server: FileServer, suffix: str, headers: dict[str, str]) -> None:
    data = gzip.compress(LINES.encode()) if suffix == ".gz" else bz2.compress(LINES.encode())
    (source,) = listed(server.put(f"/a.jsonl{suffix}", data, headers=headers))
    assert texts_of(source) == TEXTS


def test_a_plain_file_that_comes_compressed_is_refused(server: FileServer) -> None:
    url = server.put("/a.jsonl", gzip.compress(LINES.encode()), headers={**VERSION, "Content-Encoding": "gzip"})
    with pytest.raises(SourceUnavailableError, match="have it serve the file as it is"):
        listed(url)


@pytest.mark.parametrize("has_ranges", [True, False])
def test_parquet_is_read(server: FileServer, has_ranges: bool) -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"text": TEXTS}), buffer, row_group_size=500)
    (source,) = listed(server.put("/a.parquet", buffer.getvalue(), headers=VERSION, has_ranges=has_ranges))
    assert len(cut(source.uri, source.size, source.options, 5000)) == (4 if has_ranges else 1)
    assert texts_of(source, 5000) == TEXTS


def test_an_empty_file_is_an_empty_source(server: FileServer) -> None:
    (source,) = listed(server.put("/a.jsonl", b"", headers=VERSION))
    assert (source.size, source.stamp, texts_of(source)) == (0, '"v1"', [])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"headers": {"ETag": '"1"'}}, {"headers": {"ETag": '"2"'}}),
        (
            {"headers": {"Last-Modified": "Sat, 21 Nov 2026 01:00:00 GMT"}},
            {"headers": {"Last-Modified": "Sat, 21 Nov 2026 02:00:00 GMT"}},
        ),
        ({"data": b"one"}, {"data": b"two"}),
        ({"headers": {"ETag": f'"{"1" * 300}"'}}, {"headers": {"ETag": f'"{"1" * 299}2"'}}),
    ],
    ids=["an ETag", "a time", "nothing but the content", "an ETag of any length"],
)
def test_a_change_is_seen_by_whatever_the_server_tells(
    server: FileServer, before: dict[str, Any], after: dict[str, Any]
) -> None:
    url = server.put("/a.txt", **{"data": b"one", **before})
    stamp = source_stamp(url)
    assert len(stamp[1]) <= 200
    assert source_stamp(url) == stamp
    server.put("/a.txt", **{"data": b"one", **after})
    assert source_stamp(url) != stamp


def test_a_query_is_no_part_of_the_name(server: FileServer) -> None:
    server.put("/get.jsonl", LINES, headers=VERSION)
    (source,) = listed(server.url("/get.jsonl?day=*&name=x.doc"))
    assert source.options.format == "jsonl"
    assert texts_of(source) == TEXTS


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("/gone.jsonl", "does not exist; check the URL"),
        ("/shut.jsonl", "may not be read: the server gives it to nobody without a login"),
        ("/a.doc", "no known suffix"),
        ("/round.jsonl", "redirects more than 5 times"),
        ("/away.jsonl", "no web server"),
    ],
)
def test_urls_that_cannot_be_used_are_refused(server: FileServer, path: str, fault: str) -> None:
    server.put("/shut.jsonl", b"", status=403)
    server.put("/a.doc", b"1", headers=VERSION)
    server.put("/round.jsonl", b"", status=302, headers={"Location": "/round.jsonl"})
    server.put("/away.jsonl", b"", status=302, headers={"Location": "file:///etc/passwd"})
    with pytest.raises(UsageError, match=fault):
        listed(server.url(path))


def test_a_login_in_a_url_is_refused_and_not_shown(server: FileServer) -> None:
    url = server.put("/a.jsonl", LINES).replace("//", "//ops:geheim@")
    with pytest.raises(UsageError, match="with a name or password") as raised:
        listed(url)
    assert "geheim" not in str(raised.value)
    assert server.asked == []


def test_a_redirection_is_followed(server: FileServer) -> None:
    server.put("/there.jsonl", LINES, headers=VERSION)
    (source,) = listed(server.put("/a.jsonl", b"", status=301, headers={"Location": "there.jsonl"}))
    assert source.uri == server.url("/a.jsonl")
    assert texts_of(source) == TEXTS


def test_nothing_outside_the_input_roots_is_asked_for(server: FileServer) -> None:
    root = server.url("/open")
    inside = server.put("/open/a.jsonl", LINES, headers=VERSION)
    outside = server.put("/inner/a.jsonl", LINES, headers=VERSION)
    assert texts_of(listed(inside, input_roots=(root,))[0]) == TEXTS
    server.asked.clear()
    for url in (outside, f"{root}/../inner/a.jsonl", f"{root}/%2e%2e/inner/a.jsonl"):
        with pytest.raises(UsageError, match="outside the input roots"):
            listed(url, input_roots=(root,))
    assert server.asked == []
    leading_out = server.put("/open/b.jsonl", b"", status=302, headers={"Location": outside})
    with pytest.raises(UsageError, match="outside the input roots"):
        check_allowed(leading_out, [root])


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("silent_after", [0, 500])
def test_a_server_that_hangs_is_given_up_and_named(server: FileServer, silent_after: int) -> None:
    # The first bytes come, so that one that hangs in the middle is listed well.
    url = server.put("/a.jsonl", LINES, headers=VERSION, silent_after=silent_after)
    source = ListedSource(url, url, len(LINES), '"v1"', listed(server.put("/b.jsonl", "", headers=VERSION))[0].options)
    with pytest.raises(SourceUnavailableError, match=r"was silent for 0\.2 s; see what keeps it") as raised:
        texts_of(source)
    assert url in str(raised.value)


@pytest.mark.usefixtures("impatient")
def test_a_server_that_accepts_and_says_nothing_is_given_up_while_listing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as dumb:
        url = f"http://127.0.0.1:{dumb.getsockname()[1]}/a.jsonl"
        with pytest.raises(SourceUnavailableError, match=f"{re.escape(url)} cannot be read: its server was silent"):
            listed(url)


def test_an_answer_that_is_cut_short_is_not_taken_for_the_file(server: FileServer) -> None:
    url = server.put("/a.jsonl", LINES, headers=VERSION)
    (source,) = listed(url)
    server.put("/a.jsonl", LINES, headers=VERSION, cut_after=5000)
    with pytest.raises(SourceUnavailableError, match=r"cannot be read: .*; check the address and the network"):
        texts_of(source)


def test_a_certificate_that_nobody_vouches_for_is_refused_and_a_trusted_one_taken(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = make_certificate(tmp_path)
    with running_file_server(certificate) as secure:
        url = secure.put("/a.jsonl", LINES, headers=VERSION)
        with pytest.raises(SourceUnavailableError, match="certificate"):
            listed(url)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
        web_request._pool_of_process.cache_clear()
        assert texts_of(listed(url)[0]) == TEXTS
        # Nobody on the way may lead from TLS to where there is none.
        plain = server.put("/a.jsonl", LINES, headers=VERSION)
        downgraded = secure.put("/b.jsonl", b"", status=302, headers={"Location": plain})
        with pytest.raises(UsageError, match="no web server that can be trusted"):
            listed(downgraded)
    web_request._pool_of_process.cache_clear()


@pytest.mark.parametrize("status", [400, 429, 500, 503])
def test_a_server_in_trouble_is_asked_again_later(server: FileServer, status: int) -> None:
    url = server.put("/a.jsonl", b"", status=status)
    with pytest.raises(SourceUnavailableError, match=f"its server answers {status}"):
        listed(url)
    with pytest.raises(SourceUnavailableError, match=f"its server answers {status}"):
        source_stamp(url)


@pytest.mark.parametrize("status", [403, 500])
def test_what_cannot_be_asked_for_any_more_is_not_taken_for_removed(server: FileServer, status: int) -> None:
    url = server.put("/a.jsonl", LINES, headers=VERSION)
    given_out = list_sources([url], ListingOptions(), stdin_dir=Path("/nowhere"))
    server.put("/a.jsonl", b"", status=status)
    with pytest.raises(SourceUnavailableError, match=re.escape(url)):
        list(given_out)


def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(SourceUnavailableError, match=r"http://127\.0\.0\.1:9/a\.jsonl cannot be read: .*refused"):
        listed("http://127.0.0.1:9/a.jsonl")


def test_parquet_whose_server_goes_away_is_not_taken_for_damaged(server: FileServer) -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"text": TEXTS}), buffer, compression="none", use_dictionary=False)
    data = buffer.getvalue()
    (source,) = listed(server.put("/a.parquet", data, headers=VERSION))
    rows = read(source.uri, source.options)
    server.put("/a.parquet", data, headers=VERSION, cut_after=20_000)
    with pytest.raises(SourceUnavailableError):
        list(rows)
