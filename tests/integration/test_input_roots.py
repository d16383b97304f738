"""Nothing outside the input roots is read, however it is named, and whatever becomes of a path after it was planned."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from sqlalchemy import select

from storage.corpora import corpus_id_of
from storage.documents_shown import find_document
from storage.engine import reading
from storage.errors import UsageError
from storage.schema import dead_letters, documents, tokens
from storage.sources import ListingOptions
from tests.support.inline_mill import InlineMill
from workers.producer import ingest
from workers.schedule_order import Timing, add_schedule
from workers.settings import Settings
from workers.submit import Order

SECRET = "天机不可泄漏"


class Place:
    """A directory that may be read, beside one that may not."""

    def __init__(self, top: Path) -> None:
        self.inside, self.outside = top / "in", top / "out"
        for directory in (self.inside, self.outside):
            directory.mkdir()
        (self.inside / "a.txt").write_text("明月几时有", encoding="utf-8")
        self.secret = self.outside / "secret.txt"
        self.secret.write_text(SECRET, encoding="utf-8")
        self.options = ListingOptions(input_roots=(str(self.inside),))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def mill(home: Path, place: Place, sqlite_url: str) -> Iterator[InlineMill]:
    made = InlineMill(home, sqlite_url, input_roots=(str(place.inside),))
    yield made
    made.parts.engine.dispose()


def order(mill: InlineMill, place: Place, given: str) -> Any:
    return mill.submit([given], "news", "count", listing=place.options)


@pytest.mark.parametrize(
    "form",
    [
        "{out}/secret.txt",
        "{out}",
        "{out}/*.txt",
        "{top}/**/*.txt",
        "{in}/../out/secret.txt",
        "{in}/link.txt",
        "{in}/linked",
        "{in}/linked/secret.txt",
        "{in}",
        "file://{out}/secret.txt",
        "local://{out}/secret.txt",
        "FILE://{out}/secret.txt",
        "file://{in}/../out/secret.txt",
        "simplecache::file://{out}/secret.txt",
        "filecache::file://{in}/../out/secret.txt",
        "zip://secret.txt::file://{out}/secret.zip",
        "zip://secret.txt::{out}/secret.zip",
        "reference://{out}/secret.txt",
        "dir://{out}",
        "http://127.0.0.1:9/secret.txt",
        "s3://bucket/secret.txt",
        "memory://secret.txt",
    ],
)
def test_no_way_to_name_a_place_leads_out_of_the_roots(form: str, mill: InlineMill, place: Place) -> None:
    (place.inside / "link.txt").symlink_to(place.secret)
    (place.inside / "linked").symlink_to(place.outside)
    with ZipFile(place.outside / "secret.zip", "w") as archive:
        archive.write(place.secret, "secret.txt")
    given = form.replace("{out}", str(place.outside)).replace("{in}", str(place.inside))
    with pytest.raises(UsageError, match=r"outside the input roots|chain of addresses|are not taken"):
        order(mill, place, given.replace("{top}", str(place.inside.parent)))


@pytest.mark.parametrize(
    "given",
    [
        "zip://a.txt",
        "tar://a.txt",
        "github://o:r@m/a.txt",
        "ssh://h/a.txt",
        "smb://h/a.txt",
        "dir:///etc",
        "filecache::s3://b/a",
    ],
)
def test_without_roots_addresses_are_of_stores_of_files(given: str, home: Path, sqlite_url: str) -> None:
    mill = InlineMill(home, sqlite_url)
    with pytest.raises(UsageError, match=r"chain of addresses|are not taken"):
        mill.submit([given], "news", "count")
    mill.parts.engine.dispose()


def test_a_root_may_be_the_beginning_of_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANMILL_INPUT_ROOTS", "/data:s3://bucket/news:http://h:8080:https://h:8443/in:/more")
    assert Settings().input_roots == ("/data", "s3://bucket/news", "http://h:8080", "https://h:8443/in", "/more")


@pytest.mark.parametrize("swapped", ["file", "directory"])
def test_a_path_that_becomes_a_link_after_planning_is_not_followed(
    swapped: str, mill: InlineMill, place: Place
) -> None:
    tree = place.inside / "tree"
    tree.mkdir()
    planned = tree / "secret.txt"
    planned.write_text("不知天上宫阙", encoding="utf-8")
    submitted = mill.submit([tree], "news", "tokenize", listing=place.options)
    if swapped == "file":
        planned.unlink()
        planned.symlink_to(place.secret)
    else:
        tree.rename(place.inside / "moved")
        tree.symlink_to(place.outside)
    mill.work(*(job.id for job in submitted.jobs))
    with reading(mill.parts.engine) as connection:
        kept = [
            list(map(str, row))
            for table in (documents, tokens, dead_letters)
            for row in connection.execute(select(table))
        ]
        assert not any(part in cell for row in kept for cell in row for part in (SECRET, "天机"))
        corpus_id = corpus_id_of(connection, "news")
        with suppress(UsageError):
            found = find_document(connection, corpus_id, f"{planned}@0", mill.parts.settings.input_roots)
            assert found is None or found["text"] is None


def test_a_schedule_lists_nothing_outside_the_roots(mill: InlineMill, place: Place) -> None:
    made = Order("news", [str(place.outside)], ["count"], {}, place.options)
    with pytest.raises(UsageError, match="outside the input roots"):
        add_schedule(mill.parts, made, Timing("nightly", "0 1 * * *", "Asia/Shanghai"))


@pytest.mark.parametrize(
    "options",
    [
        {"user_dict": "/etc/passwd"},
        {"stopwords": "/etc/passwd"},
        {"endpoint": "http://169.254.169.254/v1", "backend": "openai", "models": ["x"]},
        {"models": ["/tmp/somebody's"]},
        {"models": ["../models"]},
        {"models": "default"},
        {"models": [7]},
    ],
    ids=json.dumps,
)
def test_a_message_names_no_place_that_a_worker_would_go_to(options: dict[str, Any], mill: InlineMill) -> None:
    given = [{"key": "a", "text": "明月"}]
    with pytest.raises(UsageError, match=r"hanmill\.ingest takes"):
        ingest(mill.parts, mill, "news", given, ["summarize"], options)
    assert not mill.messages
