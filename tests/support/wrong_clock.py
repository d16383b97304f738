"""Lets a process see another time than its machine: libfaketime, loaded before everything else."""

from __future__ import annotations

from pathlib import Path

from tests.support.availability import give_up

#: Where Debian and Ubuntu (by architecture) and other systems put it.
PLACES = ("/usr/lib/*/faketime/libfaketime.so.1", "/usr/lib*/faketime/libfaketime.so.1")


def clock_ahead(seconds: int) -> dict[str, str]:
    """Return the environment of a process whose clock is so much ahead; the test is given up without libfaketime."""
    found = [path for place in PLACES for path in Path("/").glob(place.lstrip("/"))]
    if not found:
        give_up("there is no libfaketime (package faketime) to give a process a wrong clock with")
    # The clock that only counts is ahead as well: left as it is, sleeping until one of its instants fails.
    return {"LD_PRELOAD": str(found[0]), "FAKETIME": f"+{seconds}s"}
