"""Summaries from a server that speaks OpenAI's protocol, from the order to the rows; and a server that is away."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from storage import dead_letters, jobs, summaries
from storage.engine import reading
from storage.errors import UsageError
from tasks import model_runners
from tests.support.inline_mill import InlineMill
from tests.support.mill_results import open_mill, view_of, write_texts

KEY = "sk-secret-of-the-test"
TEXTS = [f"第{number}篇：" + "研究人员介绍了新的方法，并用公开的数据检验了结果。" * 4 for number in range(5)]


class Chat(BaseHTTPRequestHandler):
    """Answers with the beginning of the document, and refuses one that is poisonous."""

    keys: ClassVar[list[str]] = []
    under_way: ClassVar[list[int]] = []
    most_at_once: ClassVar[int] = 0

    def do_POST(self) -> None:
        type(self).keys.append(self.headers["Authorization"])
        self.under_way.append(1)
        type(self).most_at_once = max(self.most_at_once, len(self.under_way))
        time.sleep(0.02)
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["messages"][-1]["content"]
        document = asked.rsplit("文档：\n", 1)[1]
        # Before the answer goes out: a client that has it may ask again before this thread goes on.
        self.under_way.pop()
        if "毒" in document:
            self.send_error(400, "bad document")
            return
        answer = json.dumps({"choices": [{"message": {"content": document[:4]}, "finish_reason": "stop"}]})
        self.send_response(200)
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def endpoint() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Chat)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def mill(home: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[InlineMill]:
    monkeypatch.setattr("workers.shard_ends._delay_s", lambda _: 0.0)
    model_runners.drop_runners()
    Chat.keys, Chat.most_at_once = [], 0
    with open_mill(home, database_url, endpoint_key=KEY, endpoint_concurrency=2, max_deferrals=1) as made:
        yield made
    model_runners.drop_runners()


def submit(mill: InlineMill, path: Path, endpoint: str) -> int:
    options = {"backend": "openai", "endpoint": endpoint, "models": ["qwen"], "max_chars": 20}
    return mill.submit([path], "c", "summarize", options=options).jobs[0].id


def test_what_the_server_writes_stands_in_sql_and_one_refused_document_is_set_aside(
    mill: InlineMill, endpoint: str, tmp_path: Path
) -> None:
    job_id = submit(mill, write_texts(tmp_path / "a.jsonl", [*TEXTS, "毒" * 40]), endpoint)
    mill.work(job_id)
    ended = view_of(mill, job_id)
    assert (ended["state"], ended["results"], ended["dead"]) == ("DONE_WITH_DEAD", 5, 1)
    with reading(mill.parts.engine) as connection:
        row = jobs.get(connection, job_id)
        rows = list(summaries.export_rows(connection, row.corpus_id, row.fingerprint))
        (letter,) = dead_letters.list_letters(connection, job_id)
    assert sorted(one["summary"] for one in rows) == sorted(text[:4] for text in TEXTS)
    assert all(one["spans"] == [] for one in rows)
    assert letter["reason"].startswith("endpoint_")
    # The key goes to the server and nowhere else.
    assert set(Chat.keys) == {f"Bearer {KEY}"}
    assert KEY not in row.parameters
    assert KEY not in str(mill.parts)
    assert Chat.most_at_once == 2


def test_a_server_that_is_away_is_waited_for_and_then_the_job_says_why_it_failed(
    mill: InlineMill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.summarize.chat_client.time.sleep", lambda _: None)
    job_id = submit(mill, write_texts(tmp_path / "a.jsonl", TEXTS[:2]), "http://127.0.0.1:9/v1")
    for _ in range(12):
        mill.work(job_id)
    ended = view_of(mill, job_id)
    assert (ended["state"], ended["dead"]) == ("FAILED", 0)
    assert "127.0.0.1:9" in ended["reason"]


@pytest.mark.parametrize("endpoint", ["ftp://host/v1", "http://user:secret@host/v1", ""])
def test_an_address_that_is_none_is_wrong_usage_and_not_repeated(
    mill: InlineMill, tmp_path: Path, endpoint: str
) -> None:
    with pytest.raises(UsageError, match="--endpoint") as refused:
        submit(mill, write_texts(tmp_path / "a.jsonl", TEXTS[:1]), endpoint)
    assert "secret" not in str(refused.value)
