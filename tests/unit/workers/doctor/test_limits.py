"""The doctor says which settings are turned round, with their values, what it does, and what to set."""

from __future__ import annotations

from typing import Any

import pytest

from workers.doctor.checks import State
from workers.doctor.limits import ORDERS, Order, judge_limits
from workers.settings import Settings


def test_the_defaults_are_in_order() -> None:
    assert judge_limits(Settings()).state is State.OK


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.less)
@pytest.mark.parametrize("beyond", [0, 1])
def test_a_limit_that_is_not_below_the_one_it_depends_on_is_told(order: Order, beyond: int) -> None:
    changed: dict[str, Any] = {order.less: int(getattr(Settings(), order.more)) + beyond}
    finding = judge_limits(Settings(**changed))
    assert finding.state is State.WARN
    less, more = f"HANMILL_{order.less.upper()}", f"HANMILL_{order.more.upper()}"
    assert f"{less}={changed[order.less]} and {more}=" in finding.detail
    assert order.harm in finding.detail
    assert f"set {less} < {more}" in finding.remedy


def test_two_of_them_are_told_together() -> None:
    finding = judge_limits(Settings(lease_s=5.0))
    assert finding.remedy == (
        "set HANMILL_FROZEN_LIMIT_S < HANMILL_LEASE_S; set HANMILL_RECONCILE_INTERVAL_S < HANMILL_LEASE_S"
    )


def test_one_below_is_fine() -> None:
    assert judge_limits(Settings(lease_s=45.5)).state is State.OK
