"""Checks everything about a schedule that can be wrong, when it is added: nobody watches when it first runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from storage import schedules
from storage.corpora import corpus_id_of
from storage.engine import Engine, reading, transact
from storage.errors import UsageError
from storage.schedules import NewSchedule
from storage.sources import ListingOptions, list_sources
from tasks.keywords.description import NAMED_IDF
from workers.bootstrap import Parts
from workers.submit import Order, check_operations

#: What of the listing is a setting of the machine that lists, and no matter of the schedule's.
_OF_THE_MACHINE = ("max_record_bytes", "input_roots")
#: Options that name files.
_FILES = ("user_dict", "stopwords")


@dataclass(frozen=True, slots=True)
class Timing:
    """When a schedule runs, and what of it a run may take."""

    name: str
    cron: str
    timezone: str
    overlap: str = "skip"
    grace_s: float = 6 * 3600.0
    document_limit: int | None = None
    finish_by: str | None = None


def add_schedule(parts: Parts, order: Order, timing: Timing) -> int:
    """Write a schedule and return its id.

    The order's inputs are what is listed before each run, if any. Raises `UsageError` before anything is written when
    any of it is wrong.
    """
    check_operations(parts.engine, order.operations, order.options, order.corpus)
    if order.inputs:
        _check_inputs(parts, order)
    else:
        _require_corpus(parts.engine, order.corpus)
    new = NewSchedule(
        name=timing.name,
        corpus=order.corpus,
        operations=list(dict.fromkeys(order.operations)),
        cron=timing.cron,
        timezone=timing.timezone,
        options=_absolute_options(order.options),
        listing=_stored_listing(order.listing),
        inputs=[_absolute(one) for one in order.inputs],
        shard_bytes=order.shard_bytes,
        priority=order.priority,
        overlap=timing.overlap,
        grace_s=timing.grace_s,
        document_limit=timing.document_limit,
        finish_by=timing.finish_by,
    )
    return transact(parts.engine, partial(schedules.add, new=new))


def _stored_listing(listing: ListingOptions) -> dict[str, Any]:
    stored = {name: value for name, value in vars(listing).items() if name not in _OF_THE_MACHINE}
    if listing.date_field is None:
        # So that a worker of a version without dates still starts the schedule.
        del stored["date_field"]
    return stored


def _require_corpus(engine: Engine, corpus: str) -> None:
    try:
        with reading(engine) as connection:
            corpus_id_of(connection, corpus)
    except UsageError as error:
        message = f"{error}. A schedule that is to fill a new one needs --ingest INPUT"
        raise UsageError(message) from error


def _check_inputs(parts: Parts, order: Order) -> None:
    if "-" in order.inputs:
        message = "--ingest - : standard input is there once only; name a directory, a glob or a URL"
        raise UsageError(message)
    # A directory in which nothing is yet is a mistake at most times; that is said here, and not at night.
    list_sources(order.inputs, order.listing, stdin_dir=parts.settings.stdin_dir)


def _absolute_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options whose files and directories mean the same wherever the run is started."""
    named: Sequence[str] = options.get("models") or ()
    models = [str(Path(name).absolute()) if Path(name).is_dir() else name for name in named]
    files = {name: _absolute(options[name]) for name in _FILES if options.get(name)}
    if options.get("idf") not in NAMED_IDF:
        files["idf"] = _absolute(options["idf"])
    return {**options, **files, "models": models or None}


def _absolute(place: str) -> str:
    return place if "://" in place else str(Path(place).absolute())
