"""Takes documents from programs: durable before `enqueue` returns, and worked on at once. Reads no files.

with Producer() as producer:
    producer.enqueue([{"key": "a", "text": "今天天气很好。"}], corpus="news", operations=["count"])
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from types import TracebackType
from typing import Any, Self

from storage import fault_points, job_ledger, jobs
from storage.corpora import make_corpus
from storage.documents import NewDocument, enqueue
from storage.engine import Connection, reading, transact
from storage.errors import BackPressureError, UsageError
from storage.planning import add_shards, documents_shard, plan_job
from storage.sources.record import MAX_KEY_CHARS
from tasks.keywords.description import NAMED_IDF
from workers.bootstrap import Parts, build_parts
from workers.dispatch import Publisher, dispatch_job
from workers.settings import Settings, load_settings
from workers.skipping import refuse_skipping
from workers.submit import CheckedOperation, check_operations

logger = logging.getLogger(__name__)

#: Documents written by one transaction.
CHUNK_DOCUMENTS = 1000
#: Seconds between two looks at a queue that is full.
POLL_S = 0.5

#: The name of a model; a path is none.
_MODEL_NAME = re.compile(r"[^/\\~.][^/\\]*")

GivenDocument = NewDocument | Mapping[str, Any]


class Producer:
    """Enqueues documents into corpora of the deployment that the settings name."""

    def __init__(self, settings: Settings | None = None) -> None:
        """Open the database; the queue is not touched before the first document."""
        from workers.celery_app import build_app  # noqa: PLC0415 - programs that import this module may never enqueue
        from workers.celery_tasks import CeleryPublisher  # noqa: PLC0415

        settings = settings or load_settings()
        self._parts = build_parts(settings)
        self._app = build_app(settings)
        self._publisher: Publisher = CeleryPublisher(self._app)

    def enqueue(
        self,
        documents: Iterable[GivenDocument],
        *,
        corpus: str,
        operations: Sequence[str] = ("count",),
        options: Mapping[str, Any] | None = None,
        wait_s: float | None = None,
    ) -> list[int]:
        """Store documents and let the operations run over them; return the ids of the jobs they joined.

        A document is a mapping with `key`, `text` and, if you like, `metadata`. All of them are durable when this
        returns. The same document twice is one. Above the high-water mark it waits for `wait_s` seconds (None: as
        long as it takes; 0: not at all).

        Raises `UsageError` for a document that cannot be stored, naming it; those of earlier chunks are in.
        Raises `BackPressureError` when the queue stays full; `stored` says how many documents are in.
        """
        refuse_skipping(options)
        checked = check_operations(self._parts.engine, operations, options or {}, corpus)
        stored = 0
        job_ids: set[int] = set()
        for chunk in _chunks(documents, first_number=1):
            self._wait_for_room(wait_s, stored)
            job_ids.update(_enqueue_chunk(self._parts, corpus, chunk, checked))
            stored += len(chunk)
            for job_id in job_ids:
                dispatch_job(self._parts, self._publisher, job_id)
        return sorted(job_ids)

    def seal(self, job_ids: Iterable[int]) -> None:
        """Close jobs to further documents now, instead of waiting until their time is up."""
        for job_id in job_ids:
            plan_job(self._parts.engine, job_id, self._parts.settings.plan_sizes)
            dispatch_job(self._parts, self._publisher, job_id)

    def close(self) -> None:
        """Close the connections to the database and to the queue."""
        self._app.close()
        self._parts.engine.dispose()

    def __enter__(self) -> Self:
        """Use the producer as a context that closes it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the producer."""
        self.close()

    def _wait_for_room(self, wait_s: float | None, stored: int) -> None:
        deadline = None if wait_s is None else time.monotonic() + wait_s
        while not has_room(self._parts):
            if deadline is not None and time.monotonic() >= deadline:
                raise BackPressureError(_full(self._parts, stored))
            time.sleep(POLL_S)


def has_room(parts: Parts) -> bool:
    """Say whether fewer shards of enqueued documents than the high-water mark wait or run."""
    high_water = parts.settings.high_water_shards
    with reading(parts.engine) as connection:
        return job_ledger.count_enqueued_unfinished(connection, high_water) < high_water


def _full(parts: Parts, stored: int) -> str:
    return (
        f"{parts.settings.high_water_shards} shards or more wait already; {stored} documents of this call are in. "
        "Enqueue the rest later, add workers, or raise HANMILL_HIGH_WATER_SHARDS"
    )


def _chunks(documents: Iterable[GivenDocument], first_number: int) -> Iterator[list[NewDocument]]:
    numbered = (check_document(document, number) for number, document in enumerate(documents, start=first_number))
    while chunk := list(islice(numbered, CHUNK_DOCUMENTS)):
        yield chunk


def check_document(document: object, number: int) -> NewDocument:
    """Return a document that every database takes; raises `UsageError` that names what is wrong with it."""
    if isinstance(document, NewDocument):
        given: Mapping[str, Any] = {"key": document.key, "text": document.text, "metadata": document.metadata}
    elif isinstance(document, Mapping):
        given = document
    else:
        message = f"document {number} is a {type(document).__name__}; it must be a mapping with key and text"
        raise UsageError(message)
    key, text, metadata = given.get("key"), given.get("text"), given.get("metadata")
    for name, value in (("key", key), ("text", text)):
        if fault := _fault_of(value):
            message = f"document {number} (key {key!r:.100}): its {name} {fault}"
            raise UsageError(message)
    if not key or len(str(key)) > MAX_KEY_CHARS:
        message = f"document {number}: its key must have 1 to {MAX_KEY_CHARS} characters"
        raise UsageError(message)
    if metadata is not None and not isinstance(metadata, Mapping):
        message = f"document {number} (key {key!r:.100}): its metadata must be a mapping"
        raise UsageError(message)
    return NewDocument(str(key), str(text), metadata)


def _fault_of(value: object) -> str | None:
    if not isinstance(value, str):
        return f"must be a string, not {type(value).__name__}"
    if "\x00" in value:
        return "contains a NUL character, which no database stores"
    try:
        value.encode()
    except UnicodeEncodeError as error:
        return f"contains half a surrogate pair at character {error.start}"
    return None


def _enqueue_chunk(
    parts: Parts, corpus: str, chunk: Sequence[NewDocument], checked: Sequence[CheckedOperation]
) -> list[int]:
    def work(connection: Connection) -> list[int]:
        corpus_id = make_corpus(connection, corpus)
        packs = enqueue(connection, corpus_id, chunk, parts.settings.shard_bytes)
        job_ids = []
        for one in checked:
            job_id = _join_or_open(connection, parts, corpus_id, one)
            add_shards(connection, job_id, [documents_shard(rows) for rows in packs.values()])
            job_ids.append(job_id)
        fault_points.reach("ingest.uncommitted")
        return job_ids

    job_ids = transact(parts.engine, work)
    fault_points.reach("ingest.committed")
    return job_ids


def _join_or_open(connection: Connection, parts: Parts, corpus_id: int, one: CheckedOperation) -> int:
    job_id = jobs.find_open(connection, corpus_id, one.operation.name, one.fingerprint)
    if job_id is not None and job_ledger.join_open_job(connection, job_id):
        return job_id
    new = jobs.NewJob(
        corpus_id,
        one.operation.name,
        one.parameters,
        one.fingerprint,
        open_s=parts.settings.seal_after_s,
    )
    return jobs.make_job(connection, new)


def _refuse_places(options: Mapping[str, Any]) -> None:
    """Raise `UsageError` for options that would have the worker go where the sender of a message wants it to.

    A file or a directory of the worker's would be read; an address would be asked, and be given the worker's key.
    """
    refused = {"user_dict", "stopwords", "endpoint"} & {name for name, value in options.items() if value is not None}
    if options.get("idf") not in NAMED_IDF:
        refused.add("idf")
    if refused:
        message = f"hanmill.ingest takes no files and no addresses: leave out {', '.join(sorted(refused))}"
        raise UsageError(message)
    models = options.get("models") or []
    if not isinstance(models, list) or not all(
        isinstance(name, str) and _MODEL_NAME.fullmatch(name) for name in models
    ):
        message = "hanmill.ingest takes models by the names that `hanmill models` lists, as a list"
        raise UsageError(message)


def ingest(
    parts: Parts,
    publisher: Publisher,
    corpus: str,
    given: Sequence[Any],
    operations: Sequence[str],
    options: Mapping[str, Any],
) -> None:
    """Store what a `hanmill.ingest` message carries; the same message twice is the same documents.

    Good documents are stored even when others are not. Raises `UsageError` that names the others.
    """
    _refuse_places(options)
    refuse_skipping(options)
    checked = check_operations(parts.engine, operations, options, corpus)
    good: list[NewDocument] = []
    faults: list[str] = []
    for number, document in enumerate(given, start=1):
        try:
            good.append(check_document(document, number))
        except UsageError as error:
            faults.append(str(error))
    for start in range(0, len(good), CHUNK_DOCUMENTS):
        for job_id in _enqueue_chunk(parts, corpus, good[start : start + CHUNK_DOCUMENTS], checked):
            dispatch_job(parts, publisher, job_id)
    if faults:
        message = f"{len(faults)} of {len(given)} documents were refused: " + "; ".join(faults[:10])
        raise UsageError(message)
