"""Which columns Flower's table of tasks has, in which order, and what stands above them."""

from __future__ import annotations

from flower.views.tasks import TASK_COLUMNS

#: Flower's own name of a column, and what it is to an operator; in the order shown.
COLUMNS = {
    "args": "Work",
    "state": "State",
    "worker": "Worker",
    "runtime": "Runtime",
    "exception": "Reason",
    "received": "Received",
    "name": "Task",
    "uuid": "Message",
}


def name_columns() -> str:
    """Name the columns, and return them as Flower's option wants them."""
    TASK_COLUMNS.update(COLUMNS)
    return ",".join(COLUMNS)
