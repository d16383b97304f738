"""A served model over real HTTP: slow, busy, broken, talking nonsense or silent, and never louder than its key."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tasks.nn.backend import UnfitTextError
from tasks.nn.batch_runner import BackendBrokenError, BatchRunner
from tasks.nn.offline import run_all
from tasks.summarize.chat_client import ChatClient, Endpoint, EndpointError, retry_after_s, without_thinking
from tasks.summarize.openai_backend import OpenAIBackend, endpoint_digest, open_openai
from tasks.summarize.summary import Summary
from tests.support import tiny_checkpoints as tiny

KEY = "sk-geheim-0123"
DOCUMENTS = [
    f"第{number}篇文档说明了一种方法，它在公开的数据上得到了检验，结果表明这种方法有效。" * 2 for number in range(12)
]


@pytest.fixture(autouse=True)
def network_is_shut(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.only_loopback(monkeypatch)


@dataclass
class Asked:
    """What a server saw."""

    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def request(self, handler: BaseHTTPRequestHandler) -> str:
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        with self._lock:
            self.requests.append(body)
            self.headers.append(dict(handler.headers))
            self.paths.append(handler.path)
        return str(body["messages"][0]["content"])

    def times(self, part: str) -> int:
        return sum(part in body["messages"][0]["content"] for body in self.requests)


#: Answers a request by its prompt and the number of times that the same prompt was asked.
Answer = Callable[[BaseHTTPRequestHandler, str, int], None]


@dataclass
class Server:
    url: str
    asked: Asked
    stop: threading.Event


@contextmanager
def serving(answer: Answer) -> Iterator[Server]:
    asked, stop = Asked(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            prompt = asked.request(self)
            try:
                answer(self, prompt, sum(body["messages"][0]["content"] == prompt for body in asked.requests))
            except ConnectionError:
                # The client did not wait.
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield Server(f"http://127.0.0.1:{server.server_port}/v1", asked, stop)
    finally:
        stop.set()
        server.shutdown()
        thread.join()
        server.server_close()


def send(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def reply(handler: BaseHTTPRequestHandler, content: str) -> None:
    send(handler, 200, json.dumps({"choices": [{"message": {"role": "assistant", "content": content}}]}).encode())


def name_of(prompt: str) -> str:
    return prompt.partition("文档：\n")[2].partition("篇")[0] + "篇的方法"


def friendly(handler: BaseHTTPRequestHandler, prompt: str, _times: int) -> None:
    reply(handler, name_of(prompt))


def backend_of(url: str, **changes: Any) -> OpenAIBackend:
    settings: dict[str, Any] = {"timeout_s": 5.0, "first_wait_s": 0.01, "attempts": 3, "key": KEY, **changes}
    return open_openai(Endpoint(url, "qwen", **settings), "title", 20)


def summaries(results: list[Summary | UnfitTextError]) -> list[str]:
    return [result.text if isinstance(result, Summary) else result.reason for result in results]


def test_every_document_gets_its_own_answer_in_order_and_under_the_cap() -> None:
    computing: list[str] = []
    most_at_once = 0

    def slowly(handler: BaseHTTPRequestHandler, prompt: str, _times: int) -> None:
        nonlocal most_at_once
        computing.append(prompt)
        most_at_once = max(most_at_once, len(computing))
        time.sleep(0.05)
        # Before the answer goes out: a client that has it may ask again before this thread goes on.
        computing.remove(prompt)
        reply(handler, name_of(prompt))

    with serving(slowly) as server:
        results = run_all(backend_of(server.url, concurrency=3), DOCUMENTS)
    assert summaries(results) == [f"第{number}篇的方法" for number in range(12)]
    assert all(isinstance(result, Summary) and result.spans == () for result in results)
    assert most_at_once == 3


def test_a_request_says_what_is_wanted_and_how() -> None:
    with serving(friendly) as server:
        run_all(backend_of(server.url, chat_template_kwargs={"enable_thinking": False}), DOCUMENTS[:1])
        run_all(backend_of(server.url, key=""), DOCUMENTS[:1])
    body, plain = server.asked.requests
    assert server.asked.paths == ["/v1/chat/completions"] * 2
    assert body["model"] == "qwen"
    assert body["temperature"] == 0
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert "标题，不超过20个字" in body["messages"][0]["content"]
    assert DOCUMENTS[0] in body["messages"][0]["content"]
    assert server.asked.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert "chat_template_kwargs" not in plain
    assert "Authorization" not in server.asked.headers[1]


@pytest.mark.parametrize("status", [429, 500, 503, 408])
def test_what_passes_is_tried_again(status: int) -> None:
    def at_the_third_time(handler: BaseHTTPRequestHandler, prompt: str, times: int) -> None:
        if times < 3:
            send(handler, status, b"busy")
        else:
            reply(handler, name_of(prompt))

    with serving(at_the_third_time) as server:
        assert summaries(run_all(backend_of(server.url), DOCUMENTS[:2])) == ["第0篇的方法", "第1篇的方法"]
    assert len(server.asked.requests) == 6


def test_garbage_is_tried_again() -> None:
    garbage = [b"<html>", b"{}", b'{"choices": []}', b'{"choices": [{"message": {"content": null}}]}', b"\xff\x00"]

    def at_last(handler: BaseHTTPRequestHandler, prompt: str, times: int) -> None:
        if times <= len(garbage):
            send(handler, 200, garbage[times - 1])
        else:
            reply(handler, name_of(prompt))

    with serving(at_last) as server:
        assert summaries(run_all(backend_of(server.url, attempts=6), DOCUMENTS[:1])) == ["第0篇的方法"]


def test_the_wait_that_a_busy_server_asks_for_is_kept() -> None:
    waits: list[float] = []

    def busy_once(handler: BaseHTTPRequestHandler, prompt: str, times: int) -> None:
        if times == 1:
            send(handler, 429, b"", Retry_After="7")
        elif times == 2:
            send(handler, 503, b"", Retry_After="9999")
        else:
            reply(handler, name_of(prompt))

    with serving(busy_once) as server:
        endpoint = Endpoint(server.url, "qwen", max_wait_s=30, first_wait_s=0.01)
        client = ChatClient(endpoint, sleep=waits.append)
        assert client.ask("文档：\n第0篇", 10) == "第0篇的方法"
    assert waits == [7.0, 30.0]


def test_waits_grow_and_differ() -> None:
    waits: list[float] = []
    with serving(lambda handler, _prompt, _times: send(handler, 500, b"")) as server:
        client = ChatClient(Endpoint(server.url, "qwen", attempts=6, first_wait_s=1, max_wait_s=6), sleep=waits.append)
        with pytest.raises(UnfitTextError):
            client.ask("问", 10)
    assert len(waits) == 5
    assert all(
        low <= wait <= high for wait, (low, high) in zip(waits, [(0.5, 1), (1, 2), (2, 4), (4, 6), (6, 6)], strict=True)
    )


def test_one_failing_document_fails_alone_in_each_way() -> None:
    def moody(handler: BaseHTTPRequestHandler, prompt: str, _times: int) -> None:
        number = name_of(prompt).removeprefix("第").partition("篇")[0]
        if number == "1":
            send(handler, 500, b"boom")
        elif number == "2":
            send(handler, 400, f"too long, {KEY}".encode())
        elif number == "3":
            send(handler, 200, b"nonsense")
        elif number == "4":
            server.stop.wait(10)
        elif number == "5":
            reply(handler, "<think>想了很久")
        else:
            reply(handler, name_of(prompt))

    with serving(moody) as server:
        results = run_all(backend_of(server.url, attempts=2, timeout_s=0.4), DOCUMENTS[:8])
    assert summaries(results) == [
        "第0篇的方法",
        "endpoint_failed",
        "endpoint_refused",
        "endpoint_garbage",
        "endpoint_timeout",
        "endpoint_no_text",
        "第6篇的方法",
        "第7篇的方法",
    ]
    refused = results[2]
    assert isinstance(refused, UnfitTextError)
    assert "400: too long, ***" in refused.detail
    # What the server refuses is not asked again; all else is.
    assert [server.asked.times(f"\n第{number}篇") for number in range(1, 6)] == [2, 1, 2, 2, 2]


def test_a_server_that_never_answers_is_the_servers_fault_not_the_documents() -> None:
    def silent(_handler: BaseHTTPRequestHandler, _prompt: str, _times: int) -> None:
        server.stop.wait(10)

    with serving(silent) as server:
        backend = backend_of(server.url, attempts=2, timeout_s=0.2)
        windows = [window for text in DOCUMENTS[:3] for window in backend.windows(text)]
        with pytest.raises(EndpointError, match=r"none of 3 requests .* no whole answer within 0\.2 s"):
            backend.forward(windows)
        # Three documents twice, and a plain question.
        assert len(server.asked.requests) == 7
        # Known to be down: one try each is enough to see whether it is back.
        with pytest.raises(EndpointError):
            backend.forward(windows)
        assert len(server.asked.requests) == 11


def test_a_document_that_breaks_the_server_is_blamed_though_it_is_alone() -> None:
    def poisoned(handler: BaseHTTPRequestHandler, prompt: str, _times: int) -> None:
        if "第1篇" in prompt:
            send(handler, 500, b"boom")
        else:
            reply(handler, name_of(prompt))

    with serving(poisoned) as server:
        backend = backend_of(server.url, attempts=2)
        assert summaries(run_all(backend, DOCUMENTS[1:2])) == ["endpoint_failed"]
        # The server is not taken for dead: the next document is tried as often as ever.
        assert summaries(run_all(backend, DOCUMENTS[1:3])) == ["endpoint_failed", "第2篇的方法"]
    assert server.asked.times("第1篇") == 4


def test_an_answer_that_drips_ends_at_the_time_out() -> None:
    def drip(handler: BaseHTTPRequestHandler, _prompt: str, _times: int) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        while not server.stop.wait(0.02):
            handler.wfile.write(b" ")

    with serving(drip) as server:
        backend = backend_of(server.url, attempts=1, timeout_s=0.3)
        with pytest.raises(EndpointError, match=r"within 0\.3 s"):
            backend.forward(list(backend.windows(DOCUMENTS[0])))


def test_a_server_that_is_not_there_breaks_the_backend_and_blames_no_document() -> None:
    with serving(friendly) as server:
        url = server.url
    backend = backend_of(url, attempts=2)
    probe = list(backend.windows(DOCUMENTS[0]))
    with pytest.raises(BackendBrokenError, match="cannot be reached"):
        BatchRunner(backend, backend.fixed_token_budget, probe=probe).run(probe * 5)


def test_a_server_that_comes_back_is_asked_with_patience_again() -> None:
    is_down = threading.Event()
    is_down.set()

    def sometimes(handler: BaseHTTPRequestHandler, prompt: str, times: int) -> None:
        if is_down.is_set() or times == 3:
            send(handler, 503, b"")
        else:
            reply(handler, name_of(prompt))

    with serving(sometimes) as server:
        backend = backend_of(server.url, attempts=2)
        (first, *_) = windows = [window for text in DOCUMENTS[:2] for window in backend.windows(text)]
        with pytest.raises(EndpointError):
            backend.forward([first])
        is_down.clear()
        assert backend.forward(windows[1:]) == ["第1篇的方法"]
        # Its third time fails once more, and is tried again.
        assert backend.forward([first]) == ["第0篇的方法"]


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_wrong_key_or_name_stops_everything_and_the_key_is_not_shown(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with serving(lambda handler, _prompt, _times: send(handler, status, f"no {KEY}".encode())) as server:
        backend = backend_of(server.url)
        windows = [window for text in DOCUMENTS for window in backend.windows(text)]
        with pytest.raises(EndpointError, match=f"status {status}: no ") as caught:
            backend.forward(windows)
    assert KEY not in f"{caught.value} {caplog.text} {backend!r} {Endpoint(server.url, 'qwen', KEY)!r}"


def test_short_texts_are_not_sent_and_long_ones_only_in_part() -> None:
    with serving(friendly) as server:
        results = run_all(backend_of(server.url), ["短文。", "", " \n", "第9篇" + "长" * 1_000_000])
    assert summaries(results) == ["短文。", "empty_text", "empty_text", "第9篇的方法"]
    assert results[0] == Summary(((0, 3),), "短文。")
    (request,) = server.asked.requests
    assert len(request["messages"][0]["content"]) < 8200


def test_an_answer_that_is_too_long_is_cut() -> None:
    with serving(lambda handler, _prompt, _times: reply(handler, " 方法有效。\n\n" * 9)) as server:
        assert summaries(run_all(backend_of(server.url), DOCUMENTS[:1])) == ["方法有效。 方法有效。 方法有效。"]


@pytest.mark.parametrize("url", ["", "127.0.0.1:8000", "ftp://host/v1", "http:///v1", "http://me:secret@host/v1"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="address") as caught:
        ChatClient(Endpoint(url, "qwen"))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("key", ["a\nb", "a b", "钥匙"])
def test_a_key_that_is_none_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ValueError, match="key") as caught:
        ChatClient(Endpoint("http://127.0.0.1/v1", "qwen", key))
    assert key not in str(caught.value)


def test_the_digest_stands_for_what_is_asked_and_not_for_the_key() -> None:
    base = Endpoint("http://a/v1", "qwen")
    same = Endpoint("http://a/v1", "qwen", KEY, concurrency=2, timeout_s=1)
    assert endpoint_digest(base) == endpoint_digest(same)
    others = [
        Endpoint("http://b/v1", "qwen"),
        Endpoint("http://a/v1", "llama"),
        Endpoint("http://a/v1", "qwen", chat_template_kwargs={"enable_thinking": False}),
    ]
    assert len({endpoint_digest(endpoint) for endpoint in [base, *others]}) == 4


def test_thoughts_are_no_answer() -> None:
    assert without_thinking("<think>\n短一点\n</think>\n\n方法") == "方法"
    assert without_thinking("<think>没想完") == ""
    assert without_thinking(" 方法 ") == "方法"


def test_a_wait_is_read_in_seconds_or_as_a_date() -> None:
    now = datetime(2026, 11, 21, 8, 0, 0, tzinfo=UTC)
    assert retry_after_s("3", now) == 3
    assert retry_after_s("Sat, 21 Nov 2026 08:00:05 GMT", now) == 5
    assert retry_after_s("Sat, 21 Nov 2026 07:00:00 GMT", now) == 0
    assert retry_after_s("soon", now) == 0
    assert retry_after_s("-1", now) == 0
