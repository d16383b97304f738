"""How jobs that have ended are shown, and the exit code they amount to. Waits for nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from workers.cli.duplicates import print_groups
from workers.cli.output import Column, note, number, print_json, print_rows, print_table, seconds, size
from workers.cli.output_format import OutputFormat

if TYPE_CHECKING:
    from storage.engine import Connection, Engine

#: Words shown after a count.
TOP_WORDS = 10
#: The fields of a job that `run --format json` prints, kept stable.
JOB_FIELDS = ("id", "operation", "state", "documents", "dead", "shards", "bytes", "tokens", "elapsed_s")
JOB_COLUMNS = (
    Column("id", "job", right=True),
    Column("operation"),
    Column("state"),
    number("documents"),
    number("results"),
    number("dead"),
    number("shards"),
    number("reused"),
    size("bytes", "size"),
    number("tokens"),
    seconds("elapsed_s", "elapsed"),
    Column("rate", right=True),
)
WORD_COLUMNS = (Column("word"), number("count"), number("documents"))
REASON_COLUMNS = (Column("job", right=True), Column("reason"), number("dead"), Column("see"))


def print_result(engine: Engine, job_ids: Sequence[int], chosen: OutputFormat) -> int:
    """Print jobs that have ended and return the exit code: 0 done, 1 failed, 3 done with standing dead letters."""
    from storage import jobs
    from storage.engine import reading

    with reading(engine) as connection:
        views = [{**view, "rate": rate_of(view)} for view in (jobs.view(connection, job_id) for job_id in job_ids)]
        if chosen is OutputFormat.JSON:
            print_json({"jobs": [{field: view[field] for field in JOB_FIELDS} for view in views]})
        elif chosen is OutputFormat.CSV:
            print_rows([{field: view[field] for field in JOB_FIELDS} for view in views], JOB_COLUMNS, chosen)
        else:
            _print_tables(connection, views)
        return exit_code(connection, views)


def rate_of(view: Mapping[str, Any]) -> str:
    """Return how fast a job computed what it had to compute, in MB a second; empty when that says nothing."""
    computed_bytes = view["bytes_done"] - view["reused_bytes"]
    if computed_bytes <= 0 or not view["elapsed_s"]:
        return ""
    return f"{computed_bytes / view['elapsed_s'] / 1024**2:.2f} MB/s"


def exit_code(connection: Connection, views: Sequence[Mapping[str, Any]]) -> int:
    """Return the exit code of jobs, after telling on stderr what is wrong with them."""
    from storage.inspection import has_standing
    from workers.cli.edge import EXIT_DEAD, EXIT_FAILED

    faults = [fault for view in views if (fault := fault_of(view)) is not None]
    for fault in faults:
        note(f"hanmill: {fault}")
    for view in views:
        if view["state"] == "STOPPED":
            # As it was told to; who waits for it should know all the same.
            note(f"hanmill: job {view['id']} ({view['operation']}) is STOPPED: {view['reason']}")
    if faults:
        return EXIT_FAILED
    return EXIT_DEAD if has_standing(connection, [view["id"] for view in views]) else 0


def fault_of(view: Mapping[str, Any]) -> str | None:
    """Return what is wrong with a job, or None: it did not end well, or its figures do not add up."""
    if view["state"] == "STOPPED":
        return None
    if view["state"] not in {"DONE", "DONE_WITH_DEAD"}:
        reason = f": {view['reason']}" if view["reason"] else f"; `hanmill retry {view['id']}` opens it again"
        return f"job {view['id']} ({view['operation']}) is {view['state']}{reason}"
    if not adds_up(view) or view["reason"]:
        found = f"{equation(view)}; {view['reason']}" if view["reason"] else equation(view)
        return f"THE FIGURES OF JOB {view['id']} DO NOT ADD UP: {found}. This is a bug in hanmill; report it"
    return None


def adds_up(view: Mapping[str, Any]) -> bool:
    """Say whether every document that went in is accounted for, by the job's figures."""
    return bool(view["documents"] == view["results"] + view["identical"] + view["replaced"] + view["dead"])


def equation(view: Mapping[str, Any]) -> str:
    """Return the sum that always holds, in figures."""
    return (
        f"{view['documents']:,} documents {'=' if adds_up(view) else '≠'} {view['results']:,} results + "
        f"{view['identical']:,} identical + {view['replaced']:,} replaced + {view['dead']:,} dead"
    )


def _print_tables(connection: Connection, views: Sequence[Mapping[str, Any]]) -> None:
    print_table(views, JOB_COLUMNS)
    for view in views:
        if view["operation"] == "count" and view["state"] in {"DONE", "DONE_WITH_DEAD"}:
            words = top_words(connection, view["id"])
            if words:
                print_table(words, WORD_COLUMNS, title=f"the {len(words)} most frequent words of {view['corpus']}")
        if view["operation"] == "discover" and view["state"] in {"DONE", "DONE_WITH_DEAD"}:
            _print_new_words(connection, view)
        if view["operation"] == "keywords":
            note(_found_by(connection, view))
        if view["operation"] == "dedup" and view["state"] in {"DONE", "DONE_WITH_DEAD"}:
            print_groups(connection, view)
    reasons = _reasons(connection, views)
    if reasons:
        print_table(reasons, REASON_COLUMNS, title="dead letters")


def _print_new_words(connection: Connection, view: Mapping[str, Any]) -> None:
    from storage import jobs
    from workers.cli.new_words import COLUMNS, word_rows

    generation_id, corpus = jobs.get(connection, view["id"]).generation_id, view["corpus"]
    words = list(word_rows(connection, generation_id)) if generation_id is not None else []
    if words:
        print_table(words[:TOP_WORDS], COLUMNS, title=f"the best of {len(words):,} new words of {corpus}")
        note(f"a dictionary of them: hanmill export {corpus} --what new-words --to FILE.txt")
    else:
        note(f"{corpus} has no word that the dictionary has not, by these thresholds; `hanmill run --help` names them")


def _found_by(connection: Connection, view: Mapping[str, Any]) -> str:
    from storage import jobs
    from tasks.keywords.description import described

    found_by = described(jobs.parameters(jobs.get(connection, view["id"])))
    return f"keywords of {view['corpus']}: {found_by}; `hanmill export {view['corpus']} --what keywords` writes them"


def top_words(connection: Connection, job_id: int) -> list[dict[str, Any]]:
    """Return the most frequent words that a job counted."""
    from storage import jobs
    from storage.word_counts import by_count
    from workers.cli.top import words_only

    generation_id = jobs.get(connection, job_id).generation_id
    if generation_id is None:
        return []
    return list(islice(words_only(by_count(connection, generation_id)), TOP_WORDS))


def _reasons(connection: Connection, views: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    from storage.dead_letters import count_by_reason

    return [
        {"job": view["id"], "reason": reason, "dead": dead, "see": f"hanmill dead {view['id']}"}
        for view in views
        for reason, dead in count_by_reason(connection, view["id"]).items()
    ]
