"""`hanmill pause`, `resume`, `cancel`, `retry`: what a user does to a job. The ledger decides what is possible."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import typer

from storage.errors import UsageError
from workers.cli import options
from workers.cli.output import note

if TYPE_CHECKING:
    from storage.engine import Connection
    from workers.bootstrap import Parts


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (pause, resume, cancel, retry):
        app.command(epilog=f"Example: hanmill {command.__name__} 3")(command)


def pause(job: options.JobArgument) -> None:
    """Let a job rest: what runs may finish, nothing new is begun."""
    from storage.job_ledger import pause as apply
    from workers.cli.opening import open_parts

    with open_parts() as parts:
        _apply(parts, job, apply, "only a job that runs can be paused")
    note(f"job {job} is paused; `hanmill resume {job}` lets it go on")


def resume(job: options.JobArgument) -> None:
    """Let a paused job go on."""
    from storage.job_ledger import resume as apply
    from workers.cli.opening import dispatch_now, open_parts

    with open_parts() as parts:
        _apply(parts, job, apply, "only a paused job can be resumed")
        note(f"job {job} goes on")
        dispatch_now(parts, job)


def cancel(job: options.JobArgument) -> None:
    """End a job at once: nothing of what runs is written any more. What is done stays known."""
    from storage.job_ledger import cancel as apply
    from workers.cli.opening import open_parts

    with open_parts() as parts:
        _apply(parts, job, apply, "only a job that has not ended can be cancelled")
    note(f"job {job} is cancelled; `hanmill retry {job}` opens it again")


def retry(job: options.JobArgument) -> None:
    """Open a job again that was cancelled, was stopped or has failed; what is done is not done again."""
    from storage.job_ledger import retry as apply
    from workers.cli.opening import dispatch_now, open_parts

    with open_parts() as parts:
        _apply(parts, job, apply, "only a job that was cancelled, was stopped or has failed can be tried again")
        note(f"job {job} runs again")
        dispatch_now(parts, job)


def _apply(parts: Parts, job_id: int, transition: Callable[[Connection, int], bool], rule: str) -> None:
    """Do a transition; raises `UsageError` with the rule when the job's state does not allow it."""
    from storage.engine import transact
    from storage.jobs import get

    def work(connection: Connection) -> str:
        before = str(get(connection, job_id).state)
        return "" if transition(connection, job_id) else before

    refused = transact(parts.engine, work)
    if refused:
        message = f"job {job_id} is {refused}: {rule}"
        raise UsageError(message)
