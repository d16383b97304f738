"""How a process of a worker ended, in words for operators. Knows the pool's sentences, and the statuses of our own."""

from __future__ import annotations

import re
import signal

from billiard.exceptions import TimeLimitExceeded

from workers.stall_guard import EXIT_STALLED

_ENDING = re.compile(r"(signal|exitcode) (\d+)")
#: What it means when a process ends by a signal that nobody need have sent.
_BY_SIGNAL = {
    signal.SIGKILL: "the kernel sends it when memory runs out, or somebody did",
    signal.SIGSEGV: "a library read memory that is not there, as a stack that is too deep does",
    signal.SIGBUS: "a library read memory, or a file, that is not there any more",
    signal.SIGABRT: "a library gave up, as many do when memory runs out",
    signal.SIGFPE: "a library divided by zero",
    signal.SIGILL: "a library was built for another processor",
}
_BY_STATUS = {
    1: "C code let no Python run for longer than HANMILL_FROZEN_LIMIT_S; the worker's log says where",
    EXIT_STALLED: "no document was finished, and nothing could interrupt it, for half as long again as "
    "HANMILL_STALL_LIMIT_S",
}


def describe(error: BaseException) -> str:
    """Return how a process ended, by the error with which its pool says so.

    "Worker exited prematurely: signal 11 (SIGSEGV) Job: 4." -> "its process ended by SIGSEGV: a library read memory …"
    """
    if isinstance(error, TimeLimitExceeded):
        return f"its process was ended: it ran for longer than {error.args[0]:,.0f} s (HANMILL_HARD_TIME_LIMIT_S)"
    found = _ENDING.search(str(error))
    if found is None:
        return "its process ended"
    number = int(found[2])
    if found[1] == "exitcode":
        return _with_meaning(f"its process ended with status {number}", _BY_STATUS.get(number))
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"its process ended by signal {number}"
    return _with_meaning(f"its process ended by {name}", _BY_SIGNAL.get(signal.Signals(number)))


def _with_meaning(ending: str, meaning: str | None) -> str:
    return f"{ending}: {meaning}" if meaning else ending
