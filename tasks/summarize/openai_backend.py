"""Summaries written by a model that somebody else serves behind an OpenAI-compatible chat endpoint.

The text is generated, not taken from the document. A document that the server fails on fails alone; when nothing of a
batch comes through, nor a plain question, the server is at fault and the batch is to be tried again later.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from tasks.nn.backend import UnfitTextError
from tasks.summarize.chat_client import ChatClient, Endpoint, EndpointError, NoAnswerError
from tasks.summarize.generated import generated_summary
from tasks.summarize.summary import Length, Summary, check_not_empty, max_chars_of, own_summary

#: What the model is told; `kind` and `max_chars` depend on the length that was asked for.
PROMPT = (
    "请为下面的文档写一个{kind}，不超过{max_chars}个字。只用文档里有的内容，不要评论，不要解释，"
    "不要加引号，只输出{kind}本身。\n\n文档：\n{text}"
)
KINDS: dict[Length, str] = {"title": "标题", "short": "摘要", "long": "摘要"}
#: Characters of a document that are sent, from its beginning.
MAX_INPUT_CHARS = 8000
#: Tokens that an answer may have per character asked for, and beside them: some vocabularies need two for one.
TOKENS_PER_CHAR = 2
SPARE_TOKENS = 64
#: Positions that a request counts as where batches are cut by positions.
REQUEST_POSITIONS = 64
#: Batches hold so many times the requests that are under way at a time, so that none waits for the slowest often.
ROUNDS = 4


@dataclass(frozen=True, slots=True)
class Request:
    """The prompt for one document."""

    prompt: str

    @property
    def length(self) -> int:
        """Every request is as long as any other: the server cuts its own batches."""
        return REQUEST_POSITIONS


class OpenAIBackend:
    """One model of one endpoint."""

    def __init__(self, endpoint: Endpoint, client: ChatClient, length: Length, max_chars: int | None) -> None:
        """Take a client for the endpoint; raises ValueError for a limit below 1."""
        self.digest = endpoint_digest(endpoint)
        #: Where requests are many, so are they here; there is no device to be warmed up.
        self.fixed_token_budget = REQUEST_POSITIONS * ROUNDS * endpoint.concurrency
        self._client = client
        self._concurrency = endpoint.concurrency
        self._kind = KINDS[length]
        self._max_chars = max_chars_of(length, max_chars)

    def windows(self, text: str) -> Sequence[Request]:
        """Return the request for a text; none for one that is short enough to be its own summary."""
        check_not_empty(text)
        if own_summary(text, self._max_chars):
            return []
        beginning = text.strip()[:MAX_INPUT_CHARS]
        return [Request(PROMPT.format(kind=self._kind, max_chars=self._max_chars, text=beginning))]

    def forward(self, windows: Sequence[Request]) -> Sequence[str | UnfitTextError]:
        """Ask for all of them, a few at a time; what failed alone is its error.

        Raises `EndpointError` when the server answers none, nor anything else.
        """
        with ThreadPoolExecutor(self._concurrency, thread_name_prefix="endpoint") as pool:
            asked = [pool.submit(self._ask, window) for window in windows]
            try:
                answers = [future.result() for future in asked]
            except EndpointError:
                _cancel(asked)
                raise
        failures = [answer for answer in answers if isinstance(answer, NoAnswerError)]
        # A document that is alone in its batch may be the reason; a question that is none tells.
        if failures and len(failures) == len(answers) and not self._client.is_answering():
            message = f"none of {len(answers)} requests was answered; the first: {failures[0].detail}"
            raise EndpointError(message)
        return answers

    def _ask(self, window: Request) -> str | UnfitTextError:
        try:
            return self._client.ask(window.prompt, TOKENS_PER_CHAR * self._max_chars + SPARE_TOKENS)
        except UnfitTextError as error:
            return error

    def result(self, text: str, windows: Sequence[Request], outputs: Sequence[str | UnfitTextError]) -> Summary:
        """Return the answer as a summary; raises `UnfitTextError` when there is none."""
        own = None if windows else own_summary(text, self._max_chars)
        if own:
            return own
        (answer,) = outputs
        if isinstance(answer, UnfitTextError):
            raise answer
        return generated_summary(answer, self._max_chars)


def _cancel(futures: Sequence[Future[str | UnfitTextError]]) -> None:
    for future in futures:
        future.cancel()


def open_openai(endpoint: Endpoint, length: Length, max_chars: int | None = None) -> OpenAIBackend:
    """Return the backend of an endpoint; asks it nothing yet. Raises ValueError for an address that can be none."""
    return OpenAIBackend(endpoint, ChatClient(endpoint), length, max_chars)


def endpoint_digest(endpoint: Endpoint) -> str:
    """Return 64 hex digits over the address, the model's name, the prompt and the switches.

    The weights behind an endpoint are unknown: a server that changes them under the same name is not noticed.
    """
    decisive = [endpoint.base_url, endpoint.model, endpoint.chat_template_kwargs, PROMPT, MAX_INPUT_CHARS]
    return hashlib.sha256(json.dumps(decisive, ensure_ascii=False, sort_keys=True).encode()).hexdigest()
