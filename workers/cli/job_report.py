"""One job as `hanmill status` shows it: everything that is known of it, and how that is printed.

Loads no more than printing takes: `glance.py` shows a job by this without the command line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workers.cli.output import Column, human_bytes, instant, number, print_json, print_rows, print_table
from workers.cli.output_format import OutputFormat

if TYPE_CHECKING:
    from storage.asking import Asker

#: Characters of an error that a table shows.
ERROR_SHOWN = 160
STATE_COLUMNS = (Column("state", "shards"), number("shards", "number"))
ERROR_COLUMNS = (
    Column("id", "shard", right=True),
    Column("state"),
    number("failures"),
    number("losses"),
    number("deferrals"),
    Column("error", "last error", lambda error: error.splitlines()[0][:ERROR_SHOWN]),
)
FIELD_COLUMNS = (Column("field", "job"), Column("value", ""))


def shown(view: dict[str, Any]) -> dict[str, Any]:
    """Return a job with its instants as text."""
    return {**view, "created_at": instant(view["created_at"]), "finished_at": instant(view["finished_at"])}


def answer(asker: Asker, job_id: int) -> dict[str, Any]:
    """Return everything that is known of a job."""
    from storage import job_views
    from workers.cli.result import fault_of

    (job,) = job_views.views(asker, [job_id])
    return {
        **shown(job),
        # Of a job that has ended well; whether one that goes on will, nobody knows.
        "adds_up": fault_of(job) is None if job["state"] in {"DONE", "DONE_WITH_DEAD"} else None,
        "parameters": job_views.parameters(asker, job_id),
        "dead_standing": job_views.standing_letters(asker, job_id),
        "shards_by_state": job_views.shards_by_state(asker, [job_id]),
        "last_errors": job_views.last_errors(asker, job_id),
        "model_runs": job_views.run_totals(asker, [job["fingerprint"]]).get(job["fingerprint"], {}),
    }


def print_report(report: dict[str, Any], output: OutputFormat) -> None:
    """Print what `answer` gave."""
    if output is OutputFormat.JSON:
        print_json(report)
    elif output is OutputFormat.CSV:
        flat = {name: value for name, value in report.items() if not isinstance(value, dict | list)}
        print_rows([flat], (), output)
    else:
        _print_tables(report)


def _model_runs(totals: dict[str, float]) -> dict[str, str]:
    """Return what the table says of all runs of models under the job's fingerprint."""
    if not totals:
        return {}
    waited = totals["waiting_s"] / totals["elapsed_s"] if totals["elapsed_s"] else 0.0
    rate = f"{totals['documents_per_s']:,.0f} documents/s, {totals['tokens_per_s']:,.0f} positions/s"
    return {"model": f"{rate}; {totals['padding_waste']:.1%} padding, {waited:.0%} of the time without data"}


def _print_tables(report: dict[str, Any]) -> None:
    from workers.cli.result import equation, rate_of

    given = ", ".join(f"{name}={value}" for name, value in report["parameters"].items() if value not in {None, ""})
    fields = {
        str(report["id"]): f"{report['operation']} over {report['corpus']} ({given})",
        "state": report["state"] + (f": {report['reason']}" if report["reason"] else ""),
        "documents": equation(report),
        "size": f"{human_bytes(report['bytes_done'])} of {human_bytes(report['bytes'])}, "
        f"{human_bytes(report['reused_bytes'])} known before",
        "tokens": f"{report['tokens']:,}",
        "elapsed": f"{report['elapsed_s']:,.1f} s {rate_of(report)}",
        "since": report["created_at"],
        "until": report["finished_at"],
        "fingerprint": report["fingerprint"],
        **_model_runs(report["model_runs"]),
        "dead letters": f"{report['dead_standing']:,} stand; see hanmill dead {report['id']}"
        if report["dead_standing"]
        else "none stand",
    }
    print_table([{"field": name, "value": value} for name, value in fields.items()], FIELD_COLUMNS)
    states = [{"state": state, "shards": count} for state, count in sorted(report["shards_by_state"].items())]
    print_table(states, STATE_COLUMNS, title="")
    if report["last_errors"]:
        print_table(report["last_errors"], ERROR_COLUMNS, title="")
