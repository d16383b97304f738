"""Asks an OpenAI-compatible chat endpoint (vLLM and the like) over HTTP, and tells a bad answer from a bad server.

Uses the standard library alone: no proxy of the environment, no redirect, no connection that is kept. Knows no summary.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from tasks.nn.backend import BackendFailedError, UnfitTextError

#: A longer answer is garbage.
MAX_ANSWER_BYTES = 1 << 22
READ_BYTES = 1 << 16
#: How much of an answer an error shows.
EXCERPT_CHARS = 200
OK = 200
#: Time-outs, conflicts and too many requests pass, as do the server's own errors.
PASSING_STATUSES = frozenset({408, 409, 425, 429})
SERVER_ERRORS = 500
#: The key, the address or the model's name is wrong: the same for every document.
WRONG_SETTING_STATUSES = frozenset({401, 403, 404, 405})
#: What a server is asked when nothing else comes through, and how long the answer may be.
PROBE = "请只回答一个字：好。"
PROBE_TOKENS = 32
THINKING = ("<think>", "</think>")


class EndpointError(BackendFailedError):
    """The server, or what was said of it, is at fault and no document: look at the address, the key and the server."""


class NoAnswerError(UnfitTextError):
    """A request that failed on every attempt, in a way that may be the server's doing as well as the document's."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server, a model that it serves, and how patiently it is asked."""

    #: Such as `http://127.0.0.1:8000/v1`; `/chat/completions` is added.
    base_url: str
    model: str
    #: Sent as a bearer token; shown nowhere.
    key: str = field(default="", repr=False)
    #: Requests under way at a time.
    concurrency: int = 8
    #: Of one request, to the last byte of its answer.
    timeout_s: float = 60.0
    #: Tries of one request in all.
    attempts: int = 4
    #: The first wait between two tries; it doubles, and is drawn from its upper half.
    first_wait_s: float = 0.5
    #: The longest wait, `Retry-After` included.
    max_wait_s: float = 30.0
    #: Passed on to the server's template, such as {"enable_thinking": False} for Qwen3.
    chat_template_kwargs: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    retry_after: str | None
    body: bytes


class ChatClient:
    """Sends requests to one endpoint; may be used by several threads."""

    def __init__(self, endpoint: Endpoint, sleep: Callable[[float], object] = time.sleep) -> None:
        """Take the address apart; raises ValueError for an address or a key that can be none."""
        parts = urlsplit(endpoint.base_url)
        if parts.username is not None:
            message = "the endpoint's address holds a user name or password; give the key apart from the address"
            raise ValueError(message)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            message = f"the endpoint {endpoint.base_url!r} is no address such as http://127.0.0.1:8000/v1"
            raise ValueError(message)
        if not endpoint.key.isascii() or any(not char.isprintable() or char == " " for char in endpoint.key):
            message = "the endpoint's key holds characters that no key has, such as a line end; write it again"
            raise ValueError(message)
        self._endpoint = endpoint
        self._connect = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._host, self._port = parts.hostname, parts.port
        self._path = parts.path.rstrip("/") + "/chat/completions"
        self._sleep = sleep
        # While the server is known to be down, one try is enough to learn whether it is back.
        self._is_down = threading.Event()

    def ask(self, prompt: str, max_tokens: int) -> str:
        """Return the answer to a prompt.

        Raises `NoAnswerError` when every try failed, `UnfitTextError` when the server refuses this prompt, and
        `EndpointError` when it would refuse any.
        """
        body = self._request(prompt, max_tokens)
        attempts = 1 if self._is_down.is_set() else self._endpoint.attempts
        failure, wait = self._try(body)
        for attempt in range(1, attempts):
            if isinstance(failure, str):
                break
            self._sleep(self._wait_s(attempt, wait))
            failure, wait = self._try(body)
        if isinstance(failure, NoAnswerError):
            raise failure
        self._is_down.clear()
        return failure

    def is_answering(self) -> bool:
        """Ask something that every model can answer, once, and say whether it did.

        If not, the next requests are tried once each until one is answered. Raises what `ask` raises of a server that
        refuses.
        """
        answer, _ = self._try(self._request(PROBE, PROBE_TOKENS))
        if isinstance(answer, str):
            return True
        self._is_down.set()
        return False

    def _request(self, prompt: str, max_tokens: int) -> bytes:
        request: dict[str, Any] = {
            "model": self._endpoint.model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": 0,
            "max_tokens": max_tokens,
            "stream": False,
        }
        if self._endpoint.chat_template_kwargs is not None:
            request["chat_template_kwargs"] = dict(self._endpoint.chat_template_kwargs)
        return json.dumps(request, ensure_ascii=False).encode()

    def _try(self, body: bytes) -> tuple[str | NoAnswerError, str | None]:
        """Return the answer, or why there is none and how long the server asks to wait."""
        try:
            reply = self._post(body)
        except TimeoutError:
            detail = f"no whole answer within {self._endpoint.timeout_s:g} s"
            return NoAnswerError("endpoint_timeout", detail), None
        except (OSError, HTTPException) as error:
            detail = f"{self._endpoint.base_url} cannot be reached: {type(error).__name__}: {error}"
            return NoAnswerError("endpoint_unreachable", detail), None
        if reply.status == OK:
            return self._content(reply.body), None
        detail = f"the endpoint answered with status {reply.status}: {self._excerpt(reply.body)}"
        if reply.status in PASSING_STATUSES or reply.status >= SERVER_ERRORS:
            return NoAnswerError("endpoint_failed", detail), reply.retry_after
        if reply.status in WRONG_SETTING_STATUSES:
            message = f"{self._endpoint.base_url}, model {self._endpoint.model!r}: {detail}"
            raise EndpointError(message)
        reason = "endpoint_refused"
        raise UnfitTextError(reason, detail)

    def _post(self, body: bytes) -> _Reply:
        deadline_s = time.monotonic() + self._endpoint.timeout_s
        connection = self._connect(self._host, self._port, timeout=self._endpoint.timeout_s)
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._endpoint.key:
            headers["Authorization"] = f"Bearer {self._endpoint.key}"
        try:
            connection.request("POST", self._path, body, headers)
            socket = connection.sock
            response = connection.getresponse()
            content = bytearray()
            # A time-out of the socket starts anew with every byte: an answer that drips has to end as well.
            while chunk := response.read1(READ_BYTES):
                content += chunk
                left_s = deadline_s - time.monotonic()
                if left_s <= 0 or len(content) > MAX_ANSWER_BYTES:
                    raise TimeoutError
                socket.settimeout(left_s)
            return _Reply(response.status, response.headers.get("Retry-After"), bytes(content))
        finally:
            connection.close()

    def _content(self, body: bytes) -> str | NoAnswerError:
        try:
            content = json.loads(body)["choices"][0]["message"]["content"]
        except (ValueError, LookupError, TypeError):
            detail = f"the endpoint's answer is no chat completion: {self._excerpt(body)}"
            return NoAnswerError("endpoint_garbage", detail)
        answer = without_thinking(content) if isinstance(content, str) else ""
        if answer:
            return answer
        detail = "the answer holds no text; if the model thinks first, switch that off by chat_template_kwargs"
        return NoAnswerError("endpoint_no_text", detail)

    def _excerpt(self, body: bytes) -> str:
        text = " ".join(body.decode("utf-8", "replace").split())
        # A server may repeat the key that it refuses.
        return (text.replace(self._endpoint.key, "***") if self._endpoint.key else text)[:EXCERPT_CHARS]

    def _wait_s(self, attempt: int, retry_after: str | None) -> float:
        doubled_s = self._endpoint.first_wait_s * 2.0 ** (attempt - 1)
        backoff_s = doubled_s * random.uniform(0.5, 1.0)  # noqa: S311 - spreads requests, keeps no secret
        asked_s = retry_after_s(retry_after, datetime.now(UTC)) if retry_after else 0.0
        return min(self._endpoint.max_wait_s, max(backoff_s, asked_s))


def without_thinking(answer: str) -> str:
    """Return an answer without the thoughts before it; nothing when it consists of unfinished thoughts.

    >>> without_thinking("<think>短一点</think>方法的比较")
    '方法的比较'
    """
    begin, end = THINKING
    _, mark, rest = answer.rpartition(end)
    if mark:
        return rest.strip()
    return "" if answer.lstrip().startswith(begin) else answer.strip()


def retry_after_s(header: str, now: datetime) -> float:
    """Return the seconds that a `Retry-After` header asks for, in seconds or as a date; 0 when it says neither."""
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        instant = parsedate_to_datetime(header)
    except ValueError:
        return 0.0
    # A date without a zone is in UTC.
    return max(0.0, (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp() - now.timestamp())
