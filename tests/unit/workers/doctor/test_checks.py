from __future__ import annotations

import pytest

from storage.broker_state import BrokerHealth
from storage.refused_messages import Refused
from workers.doctor import checks
from workers.doctor.checks import State

GOOD = BrokerHealth("7.2.4", "noeviction", persistent=True, used_memory_bytes=10, maxmemory_bytes=0)


def test_a_good_redis_gives_no_remedy() -> None:
    findings = checks.judge_redis(GOOD)
    assert {one.state for one in findings} == {State.OK}
    assert {one.remedy for one in findings} == {""}


@pytest.mark.parametrize(
    ("health", "name", "state", "remedy"),
    [
        (BrokerHealth("5.0.14", "noeviction", True, 1, 0), "redis version", State.FAIL, "install Redis 6.2"),
        (BrokerHealth("?", "noeviction", True, 1, 0), "redis version", State.FAIL, "install Redis 6.2"),
        (BrokerHealth("7.0.0", "allkeys-lru", True, 1, 0), "redis eviction", State.FAIL, "noeviction"),
        (BrokerHealth("7.0.0", "noeviction", False, 1, 0), "redis persistence", State.WARN, "appendonly yes"),
        (BrokerHealth("7.0.0", "noeviction", True, 90, 100), "redis memory", State.WARN, "maxmemory"),
    ],
)
def test_each_fault_of_a_redis_has_its_remedy(health: BrokerHealth, name: str, state: State, remedy: str) -> None:
    (finding,) = [one for one in checks.judge_redis(health) if one.state is not State.OK]
    assert (finding.name, finding.state) == (name, state)
    assert remedy in finding.remedy


@pytest.mark.parametrize(
    ("soft_s", "hard_s", "visibility_s", "state"),
    [(10, 20, 30, State.OK), (20, 20, 30, State.FAIL), (3600, 7200, 60, State.OK), (10, 20, 29, State.WARN)],
)
def test_a_shard_fails_before_it_is_ended_and_workers_have_time_to_renew(
    soft_s: float, hard_s: float, visibility_s: float, state: State
) -> None:
    assert checks.judge_time_limits(soft_s=soft_s, hard_s=hard_s, visibility_s=visibility_s).state is state


def test_a_queue_with_work_and_no_worker_is_found() -> None:
    finding = checks.judge_consumers({"hanmill.cpu": 3, "hanmill.gpu": 0}, {"hanmill.control"})
    assert finding.state is State.FAIL
    assert finding.detail == "3 shards wait in hanmill.cpu and no worker consumes it"
    assert finding.remedy == "start `hanmill worker cpu`"
    assert checks.judge_consumers({"hanmill.cpu": 3}, {"hanmill.cpu"}).state is State.OK
    assert checks.judge_consumers({}, set()).state is State.OK


def test_figures_that_do_not_add_up_fail_and_name_their_jobs() -> None:
    assert checks.judge_figures([]).state is State.OK
    finding = checks.judge_figures([3, 7])
    assert finding.state is State.FAIL
    assert finding.detail == "the figures of 2 jobs do not add up: 3, 7"
    assert "hanmill status 3" in finding.remedy


def test_unfinished_work_of_a_home_is_a_warning() -> None:
    assert checks.judge_unfinished({"hanmill.cpu": 2}).state is State.WARN
    assert checks.judge_unfinished({}).state is State.OK


def test_a_broker_is_needed_only_where_one_is_named() -> None:
    assert checks.judge_broker("redis://x", "no answer", is_needed=True).state is State.FAIL
    assert checks.judge_broker("redis://x", "no answer", is_needed=False).state is State.WARN
    assert checks.judge_broker("redis://x", None, is_needed=True).state is State.OK


def test_schemas_that_are_old_new_or_missing_differ_in_their_remedy() -> None:
    judge = checks.judge_schema
    assert judge("0001", "0001", is_known=True, suits=True).state is State.OK
    assert judge(None, "0001", is_known=True, suits=False).remedy == "run `hanmill db upgrade`"
    assert judge("0001", "0002", is_known=True, suits=False).remedy == "run `hanmill db upgrade`"
    assert judge("0009", "0002", is_known=False, suits=False).remedy == "install a newer hanmill"
    assert judge("0009", "0002", is_known=False, suits=True).state is State.OK


@pytest.mark.parametrize(("free_bytes", "state"), [(10 * 2**30, State.OK), (2**30, State.WARN), (2**20, State.FAIL)])
def test_a_disk_fills_up_by_degrees(free_bytes: int, state: State) -> None:
    assert checks.judge_disk("/home", free_bytes).state is state


def test_home_database_and_jieba_are_judged_by_their_faults() -> None:
    assert checks.judge_home("/x", None).state is State.OK
    assert "HANMILL_HOME" in checks.judge_home("/x", "/x cannot be written").remedy
    assert checks.judge_database("sqlite:///x", None).state is State.OK
    assert "HANMILL_DATABASE_URL" in checks.judge_database("sqlite:///x", "away").remedy
    assert checks.judge_jieba("0.42.1").state is State.OK
    assert checks.judge_jieba("0.43").remedy == "pip install jieba==0.42.1"
    assert checks.judge_jieba(None).state is State.FAIL


def test_an_engine_that_is_not_proven_costs_time_and_is_no_failure() -> None:
    assert checks.judge_fast_engine("0.2.2", "0.2.2").state is State.OK
    for installed in (None, "0.3.0"):
        finding = checks.judge_fast_engine(installed, "0.2.2")
        assert (finding.state, finding.remedy) == (State.WARN, "pip install rjieba==0.2.2")


def test_a_home_that_others_may_read_is_a_warning() -> None:
    assert checks.judge_privacy("/h", 0o40700).state is State.OK
    for mode in (0o40755, 0o40750, 0o40701):
        found = checks.judge_privacy("/h", mode)
        assert (found.state, found.remedy) == (State.WARN, "chmod 700 /h")


def test_refused_messages_are_a_warning_that_names_the_newest() -> None:
    assert checks.judge_refused([]).state is State.OK
    found = checks.judge_refused(
        [Refused(2.0, "hanmill.cpu", "it is no JSON", 3, "x"), Refused(1.0, "q", "old", 1, "")]
    )
    assert found.state is State.WARN
    assert "2 in hanmill.refused" in found.detail
    assert "it is no JSON" in found.detail
    assert "old" not in found.detail
