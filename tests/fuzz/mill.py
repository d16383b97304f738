"""Runs files that the readers have been judged by through real planning, shards and SQL, and checks the sums.

What goes in must come out: counts as plain jieba has them, every document a result, identical or replaced, every other
record a dead letter with its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from storage import dead_letters, jobs
from storage.corpora import make_corpus, refresh_sources
from storage.engine import reading, transact
from storage.planning import plan_job
from storage.sources import BadRecord, ListedSource, Record
from tests.fuzz.bad_input import Choices
from tests.fuzz.checks import Judged
from tests.support.inline_mill import InlineMill
from tests.support.mill_results import counts_of, open_mill, view_of
from tests.support.reference import serial_counts
from workers.dispatch import dispatch_job
from workers.submit import check_operations, find_or_make

#: Sizes of shards; files are cut, or put together, by them.
SHARD_BYTES = (300, *(5000,) * 3, *(100_000,) * 4)
#: Pieces of one file at most, about: how readers take cuts at any offset is looked at elsewhere, and cheaper.
MOST_PIECES = 12


@contextmanager
def fuzzed_mill(home: Path, database_url: str) -> Iterator[InlineMill]:
    """Have a mill that is not patient: nothing here gets better by waiting."""
    with open_mill(home, database_url, max_failures=1) as mill:
        yield mill


def check_batch(
    mill: InlineMill, choices: Choices, corpus: str, batch: Sequence[Judged], *, tokenizes: bool = True
) -> dict[str, int]:
    """Run files as one corpus; return the figures of its count. Raises `AssertionError` for the first that is wrong."""
    sources = _listed(mill, choices, corpus, batch)
    found = [(source, judged.found) for source, judged in sources]
    counted = _run(mill, corpus, "count")
    _check_figures(mill, counted, found)
    assert counted["results"] == counted["documents"] - counted["dead"]
    texts = [item.text for _, items in found for item in items if isinstance(item, Record)]
    counts, reference = counts_of(mill, corpus), serial_counts(texts)
    different = {word for word in {*counts, *reference} if counts.get(word) != reference.get(word)}
    assert not different, [(word, counts.get(word), reference.get(word)) for word in sorted(different)[:5]]
    if tokenizes:
        cut = _run(mill, corpus, "tokenize")
        _check_figures(mill, cut, found)
        assert {name: cut[name] for name in ("results", "identical", "replaced")} == _fates(found)
    return {"documents": counted["documents"], "dead": counted["dead"], "shards": counted["shards"]}


def _listed(
    mill: InlineMill, choices: Choices, corpus: str, batch: Sequence[Judged]
) -> list[tuple[ListedSource, Judged]]:
    """Put files into a corpus, in groups by the size of their shards; return them in the order of the corpus."""
    engine = mill.parts.engine
    corpus_id = transact(engine, lambda connection: make_corpus(connection, corpus))
    groups: dict[int, dict[str, tuple[ListedSource, Judged]]] = {}
    seen: set[str] = set()
    for judged in batch:
        # Standard input of the same content is the same file.
        if judged.source is not None and judged.source.uri not in seen:
            seen.add(judged.source.uri)
            size_bytes = max(choices.choose(SHARD_BYTES), judged.source.size // MOST_PIECES)
            groups.setdefault(size_bytes, {})[judged.source.uri] = (judged.source, judged)
    for size_bytes, group in groups.items():
        refresh_sources(engine, corpus_id, [source for source, _ in group.values()], size_bytes)
    return [pair for group in groups.values() for pair in group.values()]


def _run(mill: InlineMill, corpus: str, operation: str) -> dict[str, Any]:
    engine = mill.parts.engine
    (checked,) = check_operations(engine, [operation], {})
    corpus_id = transact(engine, lambda connection: make_corpus(connection, corpus))
    job_id, _ = transact(engine, partial(find_or_make, corpus_id=corpus_id, checked=checked, priority=0))
    plan_job(engine, job_id, mill.parts.settings.plan_sizes)
    dispatch_job(mill.parts, mill, job_id)
    mill.work(job_id)
    return view_of(mill, job_id)


def _check_figures(
    mill: InlineMill, view: dict[str, Any], found: Sequence[tuple[ListedSource, Sequence[Record | BadRecord]]]
) -> None:
    with reading(mill.parts.engine) as connection:
        job = jobs.get(connection, view["id"])
        letters = dead_letters.list_letters(connection, view["id"])
    bad = [(source.uri, item) for source, items in found for item in items if isinstance(item, BadRecord)]
    assert job.state == ("DONE_WITH_DEAD" if bad else "DONE"), (job.state, job.reason)
    told = sorted((letter["source"], letter["offset"], letter["reason"], letter["length"]) for letter in letters)
    assert told == sorted((uri, item.offset, item.reason, item.length) for uri, item in bad)
    assert all(letter["line"] for letter in letters), "a dead letter names its line"
    assert view["documents"] == sum(len(items) for _, items in found)
    assert view["dead"] == len(bad)
    assert view["documents"] == view["results"] + view["identical"] + view["replaced"] + view["dead"]


def _fates(found: Sequence[tuple[ListedSource, Sequence[Record | BadRecord]]]) -> dict[str, int]:
    """Return how many documents have a result, and how many gave way to a later one of their key."""
    records = [item for _, items in found for item in items if isinstance(item, Record)]
    last = {record.key: record.text for record in records}
    identical = sum(record.text == last[record.key] for record in records) - len(last)
    return {"results": len(last), "identical": identical, "replaced": len(records) - len(last) - identical}
