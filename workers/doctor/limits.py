"""The doctor's judgement of settings that must stand in an order: which are turned round, and what that does.

The defaults are in order. Judges pairs only; a value that cannot be by itself is refused when the settings are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from workers.doctor.checks import Finding, State

if TYPE_CHECKING:
    from workers.settings import Settings


@dataclass(frozen=True, slots=True)
class Order:
    """Two settings of which one must be less than the other, and what happens where it is not."""

    less: str
    more: str
    harm: str


ORDERS = (
    Order(
        "frozen_limit_s", "lease_s", "a shard that freezes its process is given to the next before that one is ended"
    ),
    Order("reconcile_interval_s", "lease_s", "the shard of a dead worker waits for the next look, not for its lease"),
    Order(
        "stall_limit_s", "soft_time_limit_s", "the time limit ends what stands still, and nobody is told that it did"
    ),
    Order("endpoint_timeout_s", "stall_limit_s", "a shard fails while it still waits for a model's server"),
    Order("max_record_bytes", "max_message_bytes", "a document of the longest size is refused with its message"),
)


def judge_limits(settings: Settings) -> Finding:
    """Judge every pair; the detail says what is turned round and what it does, the remedy what to set."""
    wrong = [order for order in ORDERS if getattr(settings, order.less) >= getattr(settings, order.more)]
    if not wrong:
        return Finding("limits", State.OK, "the limits that depend on each other are in order")
    detail = "; ".join(
        f"{_shown(settings, order.less)} and {_shown(settings, order.more)}: {order.harm}" for order in wrong
    )
    remedy = "; ".join(f"set {_variable(order.less)} < {_variable(order.more)}" for order in wrong)
    return Finding("limits", State.WARN, detail, remedy)


def _shown(settings: Settings, name: str) -> str:
    return f"{_variable(name)}={getattr(settings, name):.12g}"


def _variable(name: str) -> str:
    return f"HANMILL_{name.upper()}"
