"""Planning on both databases: shards follow the sources, what is known is taken over, and planning twice is nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from sqlalchemy import Engine, select, update

from storage import dead_letters, job_ledger, jobs, ledger, planning
from storage.completion import advance_job
from storage.corpora import prepare_sources, restamp_source
from storage.dead_letters import DeadLetter
from storage.documents import NewDocument, enqueue
from storage.engine import AnyRow, reading
from storage.planning import Plan, PlanSizes, count_reused, plan_job
from storage.schema import dead_letters as letter_table
from storage.schema import shards
from storage.sources import ListedSource
from storage.states import JobState
from tests.support.builders import (
    call,
    end,
    finish,
    finish_all,
    job,
    lease,
    make_corpus,
    make_job,
    outcome,
)
from tests.support.source_listing import listed, refresh, source_rows

#: No pack is so small that it is put together with another.
APART = PlanSizes(shard_bytes=1)
THREE = [listed("a", 60), listed("b", 60), listed("c", 60)]


@pytest.fixture
def corpus_id(engine: Engine) -> int:
    return make_corpus(engine)


def planned_job(engine: Engine, found: Sequence[ListedSource] = ()) -> int:
    """Return the id of a job over a corpus that was just refreshed."""
    if found:
        refresh(engine, make_corpus(engine), found)
    job_id = make_job(engine, sealed=False)
    assert plan_job(engine, job_id, APART) is not None
    return job_id


def replan(engine: Engine, job_id: int, found: Sequence[ListedSource] = ()) -> Plan:
    if found:
        refresh(engine, make_corpus(engine), found)
    plan = plan_job(engine, job_id, APART)
    assert plan is not None
    return plan


def shard_rows(engine: Engine, job_id: int) -> list[AnyRow]:
    with reading(engine) as connection:
        return list(connection.execute(select(shards).where(shards.c.job_id == job_id).order_by(shards.c.id)))


def files_of(engine: Engine, job_id: int) -> list[list[tuple[str, int, int]]]:
    """Return what every shard of a job reads: (name, offset, length)."""
    names = {row.id: row.uri.rpartition("/")[2] for row in source_rows(engine, make_corpus(engine))}
    return [
        [(names[source_id], offset, length) for source_id, offset, length, _ in json.loads(row.pieces)["files"]]
        for row in shard_rows(engine, job_id)
    ]


def finish_with_letter(engine: Engine, row: AnyRow, reason: str = "undecodable") -> None:
    """End a shard with one dead letter."""
    held = lease(engine, row.id)
    call(engine, dead_letters.save, held, [DeadLetter(1, "/texts/a", 7, 3, reason, "坏", line=2)])
    assert call(engine, ledger.finish, held, outcome(documents=2, dead=1))


def test_small_sources_share_a_shard_and_large_ones_have_several(engine: Engine) -> None:
    job_id = planned_job(engine, [listed("a", 40), listed("large", 250), listed("b", 40)])
    assert sorted(files_of(engine, job_id)) == [
        [("a", 0, -1), ("b", 0, -1)],
        [("large", 0, 100)],
        [("large", 100, 100)],
        [("large", 200, 50)],
    ]


def test_the_longest_shard_comes_first(engine: Engine) -> None:
    job_id = planned_job(engine, [listed("a", 70), listed("b", 90), listed("c", 80)])
    assert [row.bytes for row in shard_rows(engine, job_id)] == [90, 80, 70]


def test_planning_seals_the_job_and_lets_it_run(engine: Engine) -> None:
    row = job(engine, planned_job(engine, THREE))
    assert row.state == JobState.RUNNING
    assert row.sealed_at is not None


def test_planning_twice_changes_nothing(engine: Engine) -> None:
    job_id = planned_job(engine, THREE)
    before = shard_rows(engine, job_id)
    assert replan(engine, job_id) == Plan(shards=3)
    assert shard_rows(engine, job_id) == before


def test_a_file_that_is_added_leaves_every_other_shard_as_it_is(engine: Engine) -> None:
    job_id = planned_job(engine, [listed("b", 60), listed("c", 30)])
    before = shard_rows(engine, job_id)
    assert replan(engine, job_id, [listed("a", 20), listed("b", 60), listed("c", 30)]) == Plan(shards=2, added=1)
    assert shard_rows(engine, job_id)[: len(before)] == before


def test_a_changed_file_makes_only_its_own_shard_anew(engine: Engine) -> None:
    job_id = planned_job(engine, THREE)
    before = {row.id for row in shard_rows(engine, job_id)}
    assert replan(engine, job_id, [THREE[0], listed("b", 61, stamp="2"), THREE[2]]) == Plan(3, added=1, removed=1)
    assert len(before & {row.id for row in shard_rows(engine, job_id)}) == 2


def test_a_removed_file_takes_its_shard_and_the_dead_letters_of_it_away(engine: Engine) -> None:
    job_id = planned_job(engine, THREE)
    first = shard_rows(engine, job_id)[0]
    finish_with_letter(engine, first)
    assert replan(engine, job_id, THREE[1:]) == Plan(2, removed=1)
    assert call(engine, dead_letters.standing, job_id) == 0
    assert first.id not in {row.id for row in shard_rows(engine, job_id)}


def test_a_worker_whose_shard_was_planned_away_writes_nothing(engine: Engine) -> None:
    job_id = planned_job(engine, THREE)
    held = lease(engine, shard_rows(engine, job_id)[0].id)
    replan(engine, job_id, THREE[1:])
    assert not call(engine, ledger.finish, held, outcome())


def test_what_ran_already_stays_when_a_running_job_is_planned_again(engine: Engine) -> None:
    job_id = planned_job(engine, THREE)
    done, running, _ = shard_rows(engine, job_id)
    finish(engine, done.id)
    held = lease(engine, running.id)
    replan(engine, job_id, [*THREE, listed("d", 60)])
    assert [row.state for row in shard_rows(engine, job_id)] == ["DONE", "LEASED", "PENDING", "PENDING"]
    assert call(engine, ledger.finish, held, outcome())


def test_a_source_stamped_anew_is_planned_anew(engine: Engine, corpus_id: int) -> None:
    job_id = planned_job(engine, [listed("a", 250)])
    restamp_source(engine, source_rows(engine, corpus_id)[0].id, 150, "2")
    assert replan(engine, job_id) == Plan(shards=2, added=2, removed=3)


def test_a_source_without_cuts_is_planned_whole_until_it_has_some(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    refresh(engine, make_corpus(engine), [listed("a", 250)])
    job_id = make_job(engine, sealed=False)
    with monkeypatch.context() as patch:
        # As when the source changes between being prepared and being planned.
        patch.setattr(planning, "prepare_sources", lambda *_: None)
        assert replan(engine, job_id) == Plan(shards=1, added=1)
    assert files_of(engine, job_id) == [[("a", 0, -1)]]
    assert replan(engine, job_id) == Plan(shards=3, added=3, removed=1)


def test_an_empty_corpus_is_planned_and_done(engine: Engine) -> None:
    job_id = planned_job(engine)
    assert end(engine, job_id)


def test_an_ended_job_is_not_planned(engine: Engine) -> None:
    job_id = planned_job(engine)
    end(engine, job_id)
    assert plan_job(engine, job_id) is None


def test_a_planner_that_is_overtaken_writes_nothing_more(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    refresh(engine, make_corpus(engine), THREE)
    job_id = make_job(engine, sealed=False)
    original = prepare_sources

    def overtaken(of: Engine, corpus_id: int, largest_shard_bytes: int) -> None:
        original(of, corpus_id, largest_shard_bytes)
        call(engine, job_ledger.start_planning, job_id)

    monkeypatch.setattr(planning, "prepare_sources", overtaken)
    assert plan_job(engine, job_id) is None
    assert shard_rows(engine, job_id) == []
    assert job(engine, job_id).sealed_at is None


def test_more_shards_than_one_transaction_takes_are_planned(engine: Engine) -> None:
    assert replan(engine, make_job(engine, sealed=False), [listed("a", 120_050)]) == Plan(shards=1201, added=1201)


class TestTakingOver:
    """A new job computes only what no earlier equal job knows."""

    def test_everything_known_is_taken_over(self, engine: Engine) -> None:
        first = planned_job(engine, THREE)
        finish_all(engine, first)
        end(engine, first)
        second = make_job(engine, sealed=False)
        assert replan(engine, second) == Plan(shards=3, added=3, reused=3)
        assert call(engine, count_reused, second) == 3
        assert {row.state for row in shard_rows(engine, second)} == {"DONE"}
        figures = call(engine, jobs.figures, second)
        assert {name: figures[name] for name in ("documents_in", "results", "tokens", "reused")} == {
            "documents_in": 9,
            "results": 9,
            "tokens": 27,
            "reused": 3,
        }
        assert end(engine, second)

    def test_only_the_new_and_the_changed_run(self, engine: Engine) -> None:
        finish_all(engine, planned_job(engine, THREE))
        grown = [THREE[0], listed("b", 61, stamp="2"), THREE[2], listed("d", 60)]
        refresh(engine, make_corpus(engine), grown)
        second = make_job(engine, sealed=False)
        assert replan(engine, second) == Plan(shards=4, added=4, reused=2)
        assert sorted(row.state for row in shard_rows(engine, second)) == ["DONE", "DONE", "PENDING", "PENDING"]

    def test_a_third_job_takes_over_from_the_second(self, engine: Engine) -> None:
        finish_all(engine, planned_job(engine, THREE))
        second = planned_job(engine)
        third = make_job(engine, sealed=False)
        assert replan(engine, third).reused == 3
        origins = {row.origin_id for row in shard_rows(engine, third)}
        assert origins == {row.id for row in shard_rows(engine, second)}

    def test_another_fingerprint_or_operation_or_corpus_takes_nothing_over(self, engine: Engine) -> None:
        finish_all(engine, planned_job(engine, THREE))
        other_corpus = make_corpus(engine, "别的")
        refresh(engine, other_corpus, THREE)
        others = [
            make_job(engine, sealed=False, fingerprint="e" * 32),
            make_job(engine, sealed=False, operation="tokenize"),
            make_job(engine, sealed=False, corpus="别的"),
        ]
        for job_id in others:
            assert replan(engine, job_id) == Plan(shards=3, added=3)

    def test_what_has_not_ended_is_not_taken_over(self, engine: Engine) -> None:
        done, running, _ = shard_rows(engine, planned_job(engine, THREE))
        finish(engine, done.id)
        lease(engine, running.id)
        assert replan(engine, make_job(engine, sealed=False)) == Plan(shards=3, added=3, reused=1)

    def test_what_a_cancelled_job_had_done_is_taken_over(self, engine: Engine) -> None:
        first = planned_job(engine, THREE)
        finish(engine, shard_rows(engine, first)[0].id)
        call(engine, job_ledger.cancel, first)
        assert replan(engine, make_job(engine, sealed=False)).reused == 1

    def test_a_split_shard_is_taken_over_as_its_halves_once_both_have_ended(self, engine: Engine) -> None:
        first = planned_job(engine, [listed("a", 60)])
        (whole,) = shard_rows(engine, first)
        call(
            engine,
            ledger.split,
            lease(engine, whole.id),
            [({"files": [[1, 0, 30]]}, 30), ({"files": [[1, 30, -1]]}, 30)],
        )
        left, right = shard_rows(engine, first)[1:]
        finish(engine, left.id)
        assert replan(engine, make_job(engine, sealed=False)).reused == 0
        finish(engine, right.id)
        third = make_job(engine, sealed=False)
        assert replan(engine, third).reused == 1
        assert [(row.state, row.origin_id) for row in shard_rows(engine, third)] == [
            ("DONE", left.id),
            ("DONE", right.id),
        ]
        assert replan(engine, third) == Plan(shards=1)

    def test_dead_letters_come_along_and_the_job_says_so(self, engine: Engine) -> None:
        first = planned_job(engine, [listed("a", 60)])
        finish_with_letter(engine, shard_rows(engine, first)[0])
        second = planned_job(engine)
        (letter,) = call(engine, dead_letters.list_letters, second)
        assert (letter["source"], letter["offset"], letter["line"], letter["reason"], letter["detail"]) == (
            "/texts/a",
            7,
            2,
            "undecodable",
            "坏",
        )
        assert call(engine, jobs.figures, second)["dead"] == 1
        assert end(engine, second)
        assert job(engine, second).state == JobState.DONE_WITH_DEAD

    def test_dead_letters_are_copied_once_however_often_it_is_planned(self, engine: Engine) -> None:
        finish_with_letter(engine, shard_rows(engine, planned_job(engine, [listed("a", 60)]))[0])
        second = planned_job(engine)
        replan(engine, second)
        assert call(engine, dead_letters.standing, second) == 1

    def test_a_dead_letter_that_was_replayed_is_not_copied(self, engine: Engine) -> None:
        finish_with_letter(engine, shard_rows(engine, planned_job(engine, [listed("a", 60)]))[0])
        call(engine, lambda connection: connection.execute(update(letter_table).values(state="replayed")))
        assert call(engine, dead_letters.standing, planned_job(engine)) == 0

    def test_a_shard_that_died_of_a_missing_file_is_tried_again(self, engine: Engine) -> None:
        first = planned_job(engine, THREE)
        finish_with_letter(engine, shard_rows(engine, first)[0], "source_unavailable")
        assert replan(engine, make_job(engine, sealed=False)).reused == 0

    def test_a_buried_shard_is_taken_over_as_dead(self, engine: Engine) -> None:
        first = planned_job(engine, [listed("a", 60)])
        held = lease(engine, shard_rows(engine, first)[0].id)
        call(engine, dead_letters.save, held, [DeadLetter(1, "/texts/a", 0, 60, "failed", "three times")])
        call(engine, ledger.bury, held, 1)
        second = planned_job(engine)
        assert [(row.state, row.dead) for row in shard_rows(engine, second)] == [("DEAD", 1)]
        assert call(engine, dead_letters.standing, second) == 1


def test_two_equal_files_make_two_shards(engine: Engine) -> None:
    # One content may stand in a corpus twice, and counts twice.
    job_id = planned_job(engine, [listed("a", 60), listed("b", 60)])
    assert len({row.root_key for row in shard_rows(engine, job_id)}) == 2


class TestEnqueuedDocuments:
    """Documents that producers gave are planned by the packs in which they came."""

    @pytest.fixture
    def packs(self, engine: Engine, corpus_id: int) -> dict[int, list[AnyRow]]:
        given = [NewDocument(f"k{number}", "字" * 20) for number in range(3)]
        return call(engine, enqueue, corpus_id, given, 130)

    def test_every_pack_is_a_shard(self, engine: Engine, packs: dict[int, list[AnyRow]]) -> None:
        rows = shard_rows(engine, planned_job(engine))
        pieces = [json.loads(row.pieces)["documents"] for row in rows]
        assert pieces == [[row.id for row in pack] for pack in packs.values()]
        assert [row.bytes for row in rows] == [120, 60]

    def test_a_shard_made_while_the_job_was_open_is_the_shard_that_is_planned(
        self, engine: Engine, packs: dict[int, list[AnyRow]]
    ) -> None:
        job_id = make_job(engine, sealed=False, open_s=60.0)
        planned = [planning.documents_shard(rows) for rows in packs.values()]
        call(engine, planning.add_shards, job_id, planned)
        assert replan(engine, job_id) == Plan(shards=2)

    def test_documents_of_an_earlier_job_are_not_computed_again(
        self, engine: Engine, corpus_id: int, packs: dict[int, list[AnyRow]]
    ) -> None:
        finish_all(engine, planned_job(engine))
        call(engine, enqueue, corpus_id, [NewDocument("new", "新")], 130)
        assert replan(engine, make_job(engine, sealed=False)) == Plan(shards=3, added=3, reused=len(packs))


def test_planning_a_job_that_joined_a_merge_sums_the_new_shards_too(engine: Engine) -> None:
    job_id = planned_job(engine, THREE)
    finish_all(engine, job_id)
    call(engine, advance_job, job_id, merges=True)
    replan(engine, job_id, [*THREE, listed("d", 60)])
    assert sorted(row.kind for row in shard_rows(engine, job_id)) == ["map"] * 4
    assert not call(engine, advance_job, job_id, merges=True)
    finish_all(engine, job_id)
    assert call(engine, advance_job, job_id, merges=True)


def test_a_paused_job_stays_paused_when_it_is_planned(engine: Engine) -> None:
    job_id = planned_job(engine, THREE)
    call(engine, job_ledger.pause, job_id)
    replan(engine, job_id, THREE[1:])
    assert job(engine, job_id).state == JobState.PAUSED
