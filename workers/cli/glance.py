"""`hanmill status JOB` without the command line: the question that is asked most is answered before anything is loaded.

Building the command line takes several times as long as the question. Only what is written plainly is answered here,
and only where all goes well; whatever else, faults and their sentences too, is left to the command itself.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from typing import TYPE_CHECKING, Any

from storage.asking import open_glance
from workers.cli.job_report import answer, print_report
from workers.cli.output_format import OutputFormat
from workers.database_place import database_place

if TYPE_CHECKING:
    from collections.abc import Sequence

#: The exit code after Ctrl-C, as shells count it.
INTERRUPTED = 128 + signal.SIGINT
#: `status 3`, `status 3 --format json` or `status --format=json 3`; no sign, no blank, no other digits.
_FORMAT = rf"--format[ =](?P<{{}}>{'|'.join(OutputFormat)})"
_PLAIN = re.compile(rf"status (?:{_FORMAT.format('before')} )?(?P<job>[0-9]{{1,18}})(?: {_FORMAT.format('after')})?")


def glance(arguments: Sequence[str]) -> bool:
    """Answer a plain question about a job; False, and nothing printed, when that is for the command to do."""
    # An argument with a blank in it is none of these.
    found = _PLAIN.fullmatch(" ".join(arguments)) if all(" " not in one for one in arguments) else None
    if found is None or not _is_plain_stream(sys.stdout):
        return False
    try:
        report = _report(int(found["job"]))
        if report is not None:
            _print(report, OutputFormat(found["before"] or found["after"] or "table"))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    return report is not None


def _report(job_id: int) -> dict[str, Any] | None:
    """Return what is known of a job, None when it cannot be had by the driver alone."""
    place = database_place()
    try:
        if place is not None:
            with open_glance(place) as asker:
                return answer(asker, job_id)
    except Exception:  # noqa: BLE001, S110 - whatever it is, the command meets it too, and says what it is
        pass
    return None


def _is_plain_stream(stream: Any) -> bool:
    # A locale that has not all characters needs more than is loaded here.
    return getattr(stream, "encoding", "") == "utf-8"


def _print(report: dict[str, Any], output: OutputFormat) -> None:
    try:
        print_report(report, output)
    except BrokenPipeError:
        # As the command does when nobody reads on: no sentence, and nothing more written at the end of the process.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
