"""What people see of jobs: their figures, their states, what went wrong last. In plain SQL; changes nothing.

Figures come from the counters beside the shards (see `progress_triggers`): they cost the same for ten shards and for
ten million.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from storage.asking import Asker, Row, one_of
from storage.errors import UsageError
from storage.progress_triggers import LEVELS
from storage.states import OPEN_JOB_STATES, ShardState

#: Jobs named by one statement.
CHUNK = 500
#: The column that counts the shards of each state.
STATE_COLUMNS = {
    ShardState.PENDING: "pending",
    ShardState.QUEUED: "queued",
    ShardState.LEASED: "leased",
    ShardState.DONE: "done",
    ShardState.SPLIT: "split",
    ShardState.DEAD: "buried",
}
#: Sums that are figures as they stand.
_SHOWN_SUMS = (
    "bytes",
    "bytes_done",
    "documents_in",
    "results",
    "dead",
    "tokens",
    "reused",
    "reused_bytes",
    "failures",
    "losses",
)
#: Figures of runs of models that are added up.
_RUN_SUMS = (
    "documents",
    "batches",
    "tokens",
    "padded_tokens",
    "out_of_memory",
    "elapsed_s",
    "forward_s",
    "waiting_s",
)


def no_such_job(job_id: int) -> str:
    """Return the sentence for a job id that nobody gave."""
    return f"there is no job {job_id}; `hanmill jobs` lists them"


def list_ids(asker: Asker, *, unfinished: bool = False, corpus_id: int | None = None) -> list[int]:
    """Return the ids of jobs, the newest first."""
    conditions: list[str] = []
    values: dict[str, Any] = {}
    if unfinished:
        is_open, values = one_of("state", [str(state) for state in OPEN_JOB_STATES], "state")
        conditions.append(is_open)
    if corpus_id is not None:
        conditions.append("corpus_id = :corpus_id")
        values = {**values, "corpus_id": corpus_id}
    where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
    return [int(row["id"]) for row in asker.ask(f"SELECT id FROM jobs {where}ORDER BY id DESC", values)]  # noqa: S608 - bound values


def views(asker: Asker, job_ids: Sequence[int]) -> list[dict[str, Any]]:
    """Return what is shown of each of some jobs, in the order that was asked for; large jobs cost no more than small.

    Raises `UsageError` when one is not there.
    """
    sums = sums_of(asker, job_ids)
    moment = asker.clock()
    rows: dict[int, Row] = {}
    for start in range(0, len(job_ids), CHUNK):
        of_chunk, values = one_of("jobs.id", job_ids[start : start + CHUNK], "job")
        statement = f"SELECT jobs.*, corpora.name AS corpus FROM jobs JOIN corpora ON corpora.id = jobs.corpus_id WHERE {of_chunk}"  # noqa: E501, S608 - bound values
        rows.update({row["id"]: row for row in asker.ask(statement, values)})
    missing = next((job_id for job_id in job_ids if job_id not in rows), None)
    if missing is not None:
        raise UsageError(no_such_job(missing))
    return [_view(rows[job_id], figures(sums[job_id]), moment) for job_id in job_ids]


def _view(row: Row, figures_of: Mapping[str, int], moment: float) -> dict[str, Any]:
    until = row["finished_at"] if row["finished_at"] is not None else moment
    shown = ("id", "corpus", "operation", "state", "reason", "fingerprint", "priority", "created_at", "finished_at")
    return {
        **{name: row[name] for name in shown},
        "documents": figures_of["documents_in"],
        "results": figures_of["results"] - row["identical"] - row["replaced"],
        "identical": row["identical"],
        "replaced": row["replaced"],
        "elapsed_s": round(until - row["created_at"], 3),
        **{name: value for name, value in figures_of.items() if name not in {"documents_in", "results"}},
    }


def sums_of(asker: Asker, job_ids: Sequence[int]) -> dict[int, dict[str, int]]:
    """Return, for every job, the sums over its shards; merge shards, which hold no documents, count in none."""
    found = {job_id: dict.fromkeys(LEVELS, 0) for job_id in job_ids}
    # As integers: PostgreSQL's sums of integers are decimal numbers, which take their time to read.
    sums = ", ".join(f"CAST(SUM({name}) AS BIGINT) AS {name}" for name in LEVELS)
    for start in range(0, len(job_ids), CHUNK):
        of_chunk, values = one_of("job_id", job_ids[start : start + CHUNK], "job")
        statement = f"SELECT job_id, {sums} FROM job_progress WHERE {of_chunk} AND kind = 'map' GROUP BY job_id"  # noqa: S608 - names are ours
        for row in asker.ask(statement, values):
            found[row["job_id"]] = {name: row[name] for name in LEVELS}
    return found


def figures(sums: Mapping[str, int]) -> dict[str, int]:
    """Return a job's figures by the sums over its shards; SPLIT shards count in none of them."""
    done = sums["done"] + sums["buried"]
    return {
        "shards": sums["pending"] + sums["queued"] + sums["leased"] + done,
        "shards_done": done,
        "shards_running": sums["leased"],
        **{name: sums[name] for name in _SHOWN_SUMS},
    }


def shards_by_state(asker: Asker, job_ids: Sequence[int]) -> dict[str, int]:
    """Return how many shards of some jobs, together, stand in each state; states without any are left out."""
    counted = dict.fromkeys(STATE_COLUMNS, 0)
    sums = ", ".join(f"COALESCE(SUM({name}), 0) AS {name}" for name in STATE_COLUMNS.values())
    for start in range(0, len(job_ids), CHUNK):
        of_chunk, values = one_of("job_id", job_ids[start : start + CHUNK], "job")
        (row,) = asker.ask(f"SELECT {sums} FROM job_progress WHERE {of_chunk}", values)  # noqa: S608 - names are ours
        for state, name in STATE_COLUMNS.items():
            counted[state] += int(row[name])
    return {str(state): number for state, number in counted.items() if number}


def parameters(asker: Asker, job_id: int) -> dict[str, Any]:
    """Return what a job's operation was asked to do; raises `UsageError` when there is no such job."""
    rows = asker.ask("SELECT parameters FROM jobs WHERE id = :job", {"job": job_id})
    if not rows:
        raise UsageError(no_such_job(job_id))
    return dict(json.loads(rows[0]["parameters"]))


def standing_letters(asker: Asker, job_id: int) -> int:
    """Return how many dead letters of a job wait for replay or discard."""
    statement = "SELECT count(*) AS number FROM dead_letters WHERE job_id = :job AND state = 'standing'"
    return int(asker.ask(statement, {"job": job_id})[0]["number"])


def letters(asker: Asker, job_id: int | None, limit: int | None = None) -> list[dict[str, Any]]:
    """Return standing dead letters, of one job or of all, in the order of their places."""
    conditions = ["state = 'standing'"] if job_id is None else ["state = 'standing'", "job_id = :job"]
    statement = f'SELECT * FROM dead_letters WHERE {" AND ".join(conditions)} ORDER BY job_id, source, "offset", id'  # noqa: S608 - bound values
    values = {"job": job_id} if job_id is not None else {}
    if limit is not None:
        statement += " LIMIT :number"
        values["number"] = limit
    return [dict(row) for row in asker.ask(statement, values)]


def last_errors(asker: Asker, job_id: int, limit: int = 5) -> list[dict[str, Any]]:
    """Return the shards of a job that failed last and have not ended, with the reason."""
    statement = (
        "SELECT id, state, failures, losses, deferrals, error FROM shards "
        "WHERE job_id = :job AND error IS NOT NULL ORDER BY leased_at DESC, id LIMIT :number"
    )
    return [dict(row) for row in asker.ask(statement, {"job": job_id, "number": limit})]


def run_totals(asker: Asker, fingerprints: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return the sums over all runs of models of some fingerprints, with `padding_waste` and rates, by fingerprint."""
    sums = ", ".join(f"SUM({name}) AS {name}" for name in _RUN_SUMS)
    of_these, values = one_of("fingerprint", fingerprints, "fingerprint")
    statement = f"SELECT fingerprint, {sums} FROM batch_runs WHERE {of_these} GROUP BY fingerprint"  # noqa: S608 - names are ours
    found: dict[str, dict[str, float]] = {}
    for row in asker.ask(statement, values):
        totals = {name: float(row[name]) for name in _RUN_SUMS}
        totals["padding_waste"] = 1 - totals["tokens"] / totals["padded_tokens"] if totals["padded_tokens"] else 0.0
        totals["documents_per_s"] = totals["documents"] / totals["elapsed_s"] if totals["elapsed_s"] else 0.0
        totals["tokens_per_s"] = totals["tokens"] / totals["elapsed_s"] if totals["elapsed_s"] else 0.0
        found[row["fingerprint"]] = totals
    return found
