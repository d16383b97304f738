"""Compares what a schedule left in the database with what one process makes of the same texts. Plays nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Engine, func, select

from storage import jobs, label_scores, progress, summaries, tokens
from storage.corpora import corpus_id_of
from storage.engine import AnyRow, reading
from storage.schema import attempts, shards
from storage.states import UNFINISHED_SHARD_STATES, ShardState
from storage.word_counts import by_count, current_generation
from tests.faults.chaos.feeds import key_of
from tests.support.reference import serial_counts, serial_tokens

#: A probability may differ by so much where a text was computed in another batch.
SCORE_TOLERANCE = 1e-3


def differences(engine: Engine, corpus: str, operations: Sequence[str], texts: Sequence[str]) -> tuple[int, list[str]]:
    """Return how many results were compared, and every difference found, each as a sentence."""
    compared, found = 0, []
    with reading(engine) as connection:
        corpus_id = corpus_id_of(connection, corpus)
        rows = [jobs.get(connection, job_id) for job_id in jobs.list_ids(connection, corpus_id=corpus_id)]
        for row in rows:
            found += [f"job {row.id} ({row.operation}): {fault}" for fault in _faults_of(connection, row)]
        for operation in operations:
            # The newest first; an earlier job may have been about a part of the documents only.
            row = next(row for row in rows if row.operation == operation)
            view = jobs.view(connection, row.id)
            if view["documents"] != len(texts) or view["dead"]:
                found.append(f"job {row.id}: {len(texts)} documents, of which it knows {view['documents']}: {view}")
            number, unequal = unequal_results(connection, row, texts)
            compared += number
            found += unequal
        found += progress.differences(connection)
    return compared, found


def unequal_results(connection: Connection, job: AnyRow, texts: Sequence[str]) -> tuple[int, list[str]]:
    """Return how many results of a job were compared with those of one process, and what was different."""
    expected = EXPECTED[job.operation](texts)
    actual = dict(ACTUAL[job.operation](connection, job))
    return len(expected), [f"job {job.id} ({job.operation}): {fault}" for fault in _unequal(expected, actual)]


def _unequal(expected: dict[str, Any], actual: dict[str, Any]) -> list[str]:
    wrong = [
        f"{name!r} is {actual.get(name)!r:.200}, serially {expected.get(name)!r:.200}"
        for name in {**expected, **actual}
        if not _is_same(expected.get(name), actual.get(name))
    ]
    return wrong[:3] + ([f"and {len(wrong) - 3} more"] if len(wrong) > 3 else [])


def _is_same(expected: Any, actual: Any) -> bool:
    if not isinstance(expected, dict) or not isinstance(actual, dict):
        return bool(expected == actual)
    return expected.keys() == actual.keys() and all(
        abs(score - actual[name]) <= SCORE_TOLERANCE for name, score in expected.items()
    )


def _faults_of(connection: Connection, job: AnyRow) -> Iterator[str]:
    view = jobs.view(connection, job.id)
    if job.state != "DONE":
        yield f"it ended as {job.state} ({job.reason})"
    if view["documents"] != view["results"] + view["identical"] + view["replaced"] + view["dead"]:
        yield f"the equation does not hold: {view}"
    of_job = shards.c.job_id == job.id
    stuck = connection.scalar(
        select(func.count()).select_from(shards).where(of_job, shards.c.state.in_(UNFINISHED_SHARD_STATES))
    )
    if stuck:
        yield f"{stuck} shards are stuck"
    done = select(attempts.c.shard_id, func.count()).where(attempts.c.job_id == job.id, attempts.c.outcome == "done")
    twice = [row[0] for row in connection.execute(done.group_by(attempts.c.shard_id)) if row[1] > 1]
    if twice:
        yield f"shards {twice} were committed twice"
    # Of shards that are there: a merge that was taken back left with its attempts under way.
    there = attempts.c.shard_id.in_(select(shards.c.id).where(of_job))
    open_ended = connection.scalar(
        select(func.count()).select_from(attempts).where(there, attempts.c.outcome.is_(None))
    )
    if open_ended:
        yield f"{open_ended} attempts have no end"
    without = select(func.count()).select_from(shards).where(of_job, shards.c.state == ShardState.DEAD)
    if buried := connection.scalar(without):
        yield f"{buried} shards are dead, and nothing was wrong with them"


# --- what one process makes of it


def _serial_counts(texts: Sequence[str]) -> dict[str, Any]:
    return dict(serial_counts(texts))


def _serial_tokens(texts: Sequence[str]) -> dict[str, Any]:
    return {key_of(number): words for number, words in enumerate(serial_tokens(texts))}


def _serial_summaries(texts: Sequence[str]) -> dict[str, Any]:
    from tasks.summarize.textrank import TextRankBackend  # noqa: PLC0415 - few schedules summarize

    backend = TextRankBackend("short")
    made = [backend.summarize(text) for text in texts]
    return {key_of(number): [one.text, [list(span) for span in one.spans]] for number, one in enumerate(made)}


@cache
def _classifier() -> Any:
    import torch  # noqa: PLC0415 - few schedules classify

    from tasks.classify.backends import load_classifier  # noqa: PLC0415
    from tasks.classify.operation import DEFAULT  # noqa: PLC0415

    torch.set_num_threads(1)
    return load_classifier(DEFAULT, "cpu", torch.float32)


def _serial_labels(texts: Sequence[str]) -> dict[str, Any]:
    from tasks.nn.offline import run_all  # noqa: PLC0415 - loads PyTorch

    classifier = _classifier()
    names = [label.name for label in classifier.label_set.labels]
    # One text at a time: no batch, no order.
    scores = [run_all(classifier, [text])[0] for text in texts]
    return {
        key_of(number): {names[position]: float(score) for position, score in classifier.decide(one)}
        for number, one in enumerate(scores)
    }


# --- what the mill has made of it


def _counts(connection: Connection, job: AnyRow) -> Iterator[tuple[str, Any]]:
    generation = current_generation(connection, job.corpus_id, job.fingerprint)
    seen: set[str] = set()
    for word, count, documents in by_count(connection, generation) if generation is not None else ():
        yield (f"{word} (again)" if word in seen else word), (count, documents)
        seen.add(word)


def _tokens(connection: Connection, job: AnyRow) -> Iterator[tuple[str, Any]]:
    return ((row["key"], row["tokens"]) for row in tokens.export_rows(connection, job.corpus_id, job.fingerprint))


def _summaries(connection: Connection, job: AnyRow) -> Iterator[tuple[str, Any]]:
    for row in summaries.export_rows(connection, job.corpus_id, job.fingerprint):
        yield row["key"], [row["summary"], row["spans"]]


def _labels(connection: Connection, job: AnyRow) -> Iterator[tuple[str, Any]]:
    for row in label_scores.decided_rows(connection, job.corpus_id, job.fingerprint):
        yield row["key"], {label["label"]: label["score"] for label in row["labels"]}


EXPECTED = {
    "count": _serial_counts,
    "tokenize": _serial_tokens,
    "summarize": _serial_summaries,
    "classify": _serial_labels,
}
ACTUAL = {"count": _counts, "tokenize": _tokens, "summarize": _summaries, "classify": _labels}


def state_of(engine: Engine, corpus: str, operations: Sequence[str]) -> str:
    """Return everything that readers see of a corpus, and how often it was tried, as one text to compare later."""
    with reading(engine) as connection:
        corpus_id = corpus_id_of(connection, corpus)
        rows = [jobs.get(connection, job_id) for job_id in jobs.list_ids(connection, corpus_id=corpus_id)]
        shown = {
            operation: sorted(
                ACTUAL[operation](connection, next(row for row in rows if row.operation == operation)), key=str
            )
            for operation in operations
        }
        tried = connection.scalar(
            select(func.count()).select_from(attempts).where(attempts.c.job_id.in_([row.id for row in rows]))
        )
    return json.dumps([[[row.id, row.state] for row in rows], tried, shown], ensure_ascii=False)
