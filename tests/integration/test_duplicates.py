"""Documents that say the same: the same groups however a corpus is cut, and counts of one document for each."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from storage import duplicates, repeats, schedule_runs, schedules
from storage.corpora import corpus_id_of
from storage.duplicate_tables import duplicate_members, partial_signatures
from storage.engine import reading, transact
from storage.errors import UsageError
from storage.replay import replay
from storage.schema import jobs, shards
from storage.shard_input import ShardInput
from storage.sources import ListingOptions
from tests.support.inline_mill import InlineMill
from tests.support.mill_results import CORPUS, counts_of, open_mill, view_of, write_texts
from tests.support.reference import serial_counts
from workers import run_shard as running
from workers.producer import _enqueue_chunk, check_document, ingest
from workers.schedule_fire import tend_schedules
from workers.schedule_order import Timing, add_schedule
from workers.schedule_start import start_run
from workers.submit import Order, check_operations
from workers.verification.job import verify_job

NEWS = "国家统计局今天发布数据，一季度国内生产总值同比增长百分之五点三，经济运行起步平稳、稳中有进。"
#: One word of it is another, so that it is nearly the same.
NEAR_NEWS = NEWS.replace("今天", "昨天")
WEATHER = "今天白天到夜间多云转晴，最高气温十八度，最低气温六度，适合外出。"
#: Full-width, and with white space in it.
WIDE_WEATHER = "今天白天 到夜间多云转晴，最高气温十八度，\n最低气温六度，适合外出。"
OTHERS = [f"第{number}届博览会在上海开幕，来自各国的{number * 37}家企业参加。" * 3 for number in range(11, 60, 12)]
TEXTS = [NEWS, WEATHER, OTHERS[0], NEAR_NEWS, NEWS, OTHERS[1], WIDE_WEATHER, OTHERS[2], NEAR_NEWS, OTHERS[3]]
#: The numbers of the texts that another stands for, which is the first of its group.
NEAR_REPEATS = {3, 4, 6, 8}
EXACT_REPEATS = {4, 6, 8}


@pytest.fixture
def mill(home: Path, database_url: str) -> Iterator[InlineMill]:
    with open_mill(home, database_url, max_failures=1) as made:
        yield made


@pytest.fixture
def sqlite_mill(home: Path, sqlite_url: str) -> Iterator[InlineMill]:
    """Return a mill on SQLite, for what no database has a part in."""
    with open_mill(home, sqlite_url, max_failures=1) as made:
        yield made


def kept(texts: Sequence[str], without: set[int]) -> list[str]:
    return [text for number, text in enumerate(texts) if number not in without]


def members_of(mill: InlineMill, corpus: str = CORPUS) -> list[dict[str, Any]]:
    with reading(mill.parts.engine) as connection:
        generation = duplicates.current_groups(connection, corpus_id_of(connection, corpus))
        assert generation is not None
        return [dict(row) for row in duplicates.export_rows(connection, generation)]


def skipping(mode: str) -> dict[str, Any]:
    return {"options": {"skip_duplicates": mode}}


def count(mill: InlineMill, inputs: Sequence[Path], mode: str, **order: Any) -> dict[str, Any]:
    (job_id,) = mill.run(inputs, CORPUS, "count", **skipping(mode), **order)
    view = view_of(mill, job_id)
    assert view["reason"] is None
    assert view["documents"] == view["results"] + view["identical"] + view["replaced"] + view["dead"]
    return view


def test_documents_that_say_the_same_are_grouped_by_their_places(mill: InlineMill, tmp_path: Path) -> None:
    lines = [json.dumps({"text": text, "id": f"n{number}"}, ensure_ascii=False) for number, text in enumerate(TEXTS)]
    source = tmp_path / "texts.jsonl"
    source.write_text("\n".join(lines) + "\n", encoding="utf-8")
    (job_id,) = mill.run([source], CORPUS, "dedup", listing=ListingOptions(key_field="id"))
    members = members_of(mill)
    assert [(row["group"], row["kind"], row["number"], row["text"], row["key"]) for row in members] == [
        *((1, "near", number, text, f"n{key}") for number, text, key in ((1, 1, 0), (2, 2, 3), (3, 1, 4), (4, 2, 8))),
        *((2, "exact", number, 1, f"n{key}") for number, key in ((1, 1), (2, 6))),
    ]
    assert {row["similarity"] for row in members if row["text"] == 1} == {1.0}
    assert all(0.8 <= row["similarity"] < 1.0 for row in members if row["text"] == 2)
    view = view_of(mill, job_id)
    assert (view["documents"], view["results"], view["dead"]) == (len(TEXTS), len(TEXTS), 0)
    with reading(mill.parts.engine) as connection:
        generation = duplicates.current_groups(connection, 1) or 0
        assert duplicates.totals(connection, generation) == [
            {"kind": "exact", "groups": 1, "documents": 2, "repeats": 1},
            {"kind": "near", "groups": 1, "documents": 4, "repeats": 3},
        ]
        found = duplicates.find_member(connection, generation, "n6", str(source), members[-1]["offset"])
        assert found is not None
        assert (found["group"], found["number"], found["first"]) == (2, 2, "n1")


def test_the_groups_are_the_same_however_the_corpus_is_cut_and_whoever_is_first(
    sqlite_mill: InlineMill, tmp_path: Path
) -> None:
    sources = [write_texts(tmp_path / f"{number}.jsonl", TEXTS[number::2]) for number in range(2)]
    found, cut = [], []
    for shard_bytes in (10_000_000, 700, 100):
        corpus = f"cut at {shard_bytes}"
        (submitted,) = sqlite_mill.submit(sources, corpus, "dedup", shard_bytes=shard_bytes).jobs
        random.Random(shard_bytes).shuffle(sqlite_mill.messages)
        sqlite_mill.work()
        cut.append(view_of(sqlite_mill, submitted.id)["shards"])
        found.append(members_of(sqlite_mill, corpus))
    assert cut[0] < cut[1] < cut[2]
    assert found[0]
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize(("mode", "left_out"), [("near", NEAR_REPEATS), ("exact", EXACT_REPEATS)])
def test_a_count_without_duplicates_is_that_of_a_loop_over_the_others(
    sqlite_mill: InlineMill, tmp_path: Path, mode: str, left_out: set[int]
) -> None:
    source = write_texts(tmp_path / "texts.jsonl", TEXTS)
    source.write_bytes(source.read_bytes() + b"no json\n")
    sqlite_mill.run([source], CORPUS, "dedup", shard_bytes=300)
    view = count(sqlite_mill, [source], mode)
    assert (view["documents"], view["identical"], view["dead"]) == (len(TEXTS) + 1, len(left_out), 1)
    assert counts_of(sqlite_mill) == serial_counts(kept(TEXTS, left_out))
    # With all of them it is another result, and either is known the next time.
    sqlite_mill.run([source], CORPUS, "count")
    assert counts_of(sqlite_mill) == serial_counts(TEXTS)
    again = count(sqlite_mill, [source], mode)
    assert (again["reused"], again["identical"]) == (again["shards"], len(left_out))
    assert counts_of(sqlite_mill) == serial_counts(kept(TEXTS, left_out))


def test_a_count_without_duplicates_wants_them_to_be_known(sqlite_mill: InlineMill, tmp_path: Path) -> None:
    source = write_texts(tmp_path / "texts.jsonl", TEXTS)
    with pytest.raises(UsageError, match="the duplicates of corpus c are not known; run the same inputs with --do ded"):
        sqlite_mill.submit([source], CORPUS, "count", **skipping("near"))
    sqlite_mill.run([source], CORPUS, "dedup")
    write_texts(source, [*TEXTS, "新的一篇"])
    with pytest.raises(UsageError, match=r"has changed since its duplicates were grouped .*gone: 1\); run the same"):
        sqlite_mill.submit([source], CORPUS, "count", **skipping("near"))
    with reading(sqlite_mill.parts.engine) as connection:
        assert connection.scalar(select(func.count()).select_from(jobs)) == 1


def test_what_changed_among_the_duplicates_is_counted_anew_and_nothing_else(
    sqlite_mill: InlineMill, tmp_path: Path
) -> None:
    first, second = (write_texts(tmp_path / f"{name}.jsonl", texts) for name, texts in (("1", TEXTS), ("2", OTHERS)))
    inputs = [first, second]
    sqlite_mill.run(inputs, CORPUS, "dedup", shard_bytes=100_000)
    count(sqlite_mill, inputs, "near")
    shown = [text for text in OTHERS if text not in TEXTS]
    assert counts_of(sqlite_mill) == serial_counts([*kept(TEXTS, NEAR_REPEATS), *shown])
    # The group's first document goes: the next one is counted in its place.
    without_first = TEXTS[1:]
    write_texts(first, without_first)
    sqlite_mill.run(inputs, CORPUS, "dedup")
    view = count(sqlite_mill, inputs, "near")
    assert counts_of(sqlite_mill) == serial_counts([*kept(without_first, {3, 5, 7}), *shown])
    assert view["identical"] == 3 + len(OTHERS) - len(shown)


def test_other_duplicates_of_the_same_content_are_counted_anew(sqlite_mill: InlineMill, tmp_path: Path) -> None:
    # The content of the first file stays as it is, and so does its shard; which of its documents count does not.
    source = write_texts(tmp_path / "2.jsonl", TEXTS)
    sqlite_mill.run([source], CORPUS, "dedup", options={"similarity": 0.99})
    strict = count(sqlite_mill, [source], "near")
    assert counts_of(sqlite_mill) == serial_counts(kept(TEXTS, EXACT_REPEATS))
    sqlite_mill.run([source], CORPUS, "dedup", options={"similarity": 0.7})
    view = count(sqlite_mill, [source], "near")
    assert (view["fingerprint"], view["reused"]) == (strict["fingerprint"], 0)
    assert counts_of(sqlite_mill) == serial_counts(kept(TEXTS, NEAR_REPEATS))


def test_equal_content_elsewhere_is_grouped_by_its_own_places(sqlite_mill: InlineMill, tmp_path: Path) -> None:
    first = write_texts(tmp_path / "first.jsonl", TEXTS)
    second = tmp_path / "second.jsonl"
    second.write_bytes(first.read_bytes())
    sqlite_mill.run([tmp_path], CORPUS, "dedup")
    assert len(members_of(sqlite_mill)) == 2 * len(TEXTS)
    first.rename(tmp_path / "third.jsonl")
    sqlite_mill.run([tmp_path], CORPUS, "dedup")
    members = members_of(sqlite_mill)
    assert len(members) == 2 * len(TEXTS)
    assert {Path(row["source"]).name for row in members} == {"second.jsonl", "third.jsonl"}
    # The one that was there first stands for the one that came under a new name.
    assert {Path(row["source"]).name for row in members if row["number"] == 1} == {"second.jsonl"}


def test_enqueued_documents_come_after_those_in_sources(mill: InlineMill, tmp_path: Path) -> None:
    source = write_texts(tmp_path / "texts.jsonl", [WEATHER, OTHERS[0]])
    documents = [check_document({"key": f"d{number}", "text": text}, number) for number, text in enumerate(TEXTS)]
    checked = check_operations(mill.parts.engine, ["dedup"], {})
    _enqueue_chunk(mill.parts, CORPUS, documents, checked)
    mill.run([source], CORPUS, "dedup")
    members = members_of(mill)
    assert [row["key"] for row in members if row["group"] == 1 and row["number"] > 1] == ["d1", "d6"]
    assert members[0]["source"] == str(source)
    assert members[-1]["source"] is None
    view = count(mill, [source], "near")
    assert view["documents"] == len(TEXTS) + 2
    left_out = NEAR_REPEATS | {1, 2}
    assert counts_of(mill) == serial_counts([WEATHER, OTHERS[0], *kept(TEXTS, left_out)])
    _enqueue_chunk(mill.parts, CORPUS, [check_document({"key": "later", "text": "后来的"}, 1)], checked)
    with pytest.raises(UsageError, match="documents enqueued since: 1"):
        mill.submit([source], CORPUS, "count", **skipping("near"))


def test_who_enqueues_cannot_skip_what_nobody_has_compared(sqlite_mill: InlineMill) -> None:
    with pytest.raises(UsageError, match="compared with nothing yet"):
        ingest(
            sqlite_mill.parts, sqlite_mill, CORPUS, [{"key": "a", "text": "甲"}], ["count"], {"skip_duplicates": "near"}
        )


def fail_on(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    take = running.ShardAttempt._take

    def take_unless_poison(self: running.ShardAttempt, run: Any, batch: Any) -> None:
        if any(document.text == text for document in batch.documents):
            message = "poison"
            raise ValueError(message)
        take(self, run, batch)

    monkeypatch.setattr(running.ShardAttempt, "_take", take_unless_poison)
    monkeypatch.setattr("workers.shard_ends._delay_s", lambda _: 0.0)


def test_halves_and_replayed_records_leave_out_what_their_shard_does(
    mill: InlineMill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_texts(tmp_path / "texts.jsonl", TEXTS)
    mill.run([source], CORPUS, "dedup")
    with monkeypatch.context() as trouble:
        fail_on(OTHERS[1], trouble)
        view = count(mill, [source], "near")
    assert (view["dead"], view["identical"], view["results"]) == (1, len(NEAR_REPEATS), 5)
    assert counts_of(mill) == serial_counts(kept(TEXTS, NEAR_REPEATS | {5}))
    replay(mill.parts.engine, view["id"])
    mill.work(view["id"])
    assert view_of(mill, view["id"])["identical"] == len(NEAR_REPEATS)
    assert view_of(mill, view["id"])["reason"] is None
    assert counts_of(mill) == serial_counts(kept(TEXTS, NEAR_REPEATS))


def test_a_shard_that_left_out_another_record_is_found_when_its_job_ends(
    sqlite_mill: InlineMill, tmp_path: Path
) -> None:
    source = write_texts(tmp_path / "texts.jsonl", TEXTS)
    sqlite_mill.run([source], CORPUS, "dedup")
    (submitted,) = sqlite_mill.submit([source], CORPUS, "count", **skipping("near")).jobs
    with reading(sqlite_mill.parts.engine) as connection:
        (pieces,) = connection.scalars(select(shards.c.pieces).where(shards.c.job_id == submitted.id))
    assert repeats.number_in(json.loads(pieces)) == len(NEAR_REPEATS)
    altered = json.loads(pieces)
    # A place where no record begins.
    altered[repeats.FIELD][0][1][0] += 1
    statement = shards.update().where(shards.c.job_id == submitted.id).values(pieces=json.dumps(altered))
    transact(sqlite_mill.parts.engine, lambda connection: connection.execute(statement))
    sqlite_mill.work()
    assert "1 shards have left out other records" in view_of(sqlite_mill, submitted.id)["reason"]


def test_a_half_keeps_the_places_that_it_reads(sqlite_mill: InlineMill, tmp_path: Path) -> None:
    source = write_texts(tmp_path / "texts.jsonl", TEXTS)
    sqlite_mill.run([source], CORPUS, "dedup")
    with reading(sqlite_mill.parts.engine) as connection:
        places = repeats.repeated_places(connection, 1, "near")
    pieces = repeats.with_repeats({"files": [[1, 0, -1, 1]]}, places)
    whole = ShardInput(sqlite_mill.parts.engine, pieces)
    halves = [ShardInput(sqlite_mill.parts.engine, half) for half, _ in whole.halves()]
    assert whole.repeated == len(NEAR_REPEATS) == sum(half.repeated for half in halves)
    assert all(half.repeated for half in halves)
    assert whole.digest() != ShardInput(sqlite_mill.parts.engine, {"files": [[1, 0, -1, 1]]}).digest()


def test_a_planted_edit_is_found_by_how_much_of_the_text_it_leaves(
    home: Path, sqlite_url: str, sample_texts: list[str], tmp_path: Path
) -> None:
    source = random.Random(8)
    texts = [text[:800] for text in sample_texts if len(text) >= 200][:40]
    found = {}
    with open_mill(home, sqlite_url) as mill:
        for percent in (1, 2, 10):
            edited = [edit(text, percent, source) for text in texts]
            corpus = f"c{percent}"
            path = write_texts(tmp_path / f"{percent}.jsonl", [*texts, *edited])
            mill.run([path], corpus, "dedup")
            members = members_of(mill, corpus)
            found[percent] = sum(row["number"] > 1 for row in members) / len(texts)
            # Nothing is taken for something else: each pair is a text and its own edit.
            assert all(row["documents"] == 2 for row in members)
    # One character in a hundred touches three shingles in a hundred: similarity 0.94, 0.88 for two, 0.57 for ten.
    assert found[1] == 1.0
    assert found[2] >= 0.95
    assert found[10] <= 0.05


def edit(text: str, percent: int, source: random.Random) -> str:
    characters = list(text)
    for place in source.sample(range(len(text)), max(1, len(text) * percent // 100)):
        characters[place] = "改"
    return "".join(characters)


def test_a_schedule_counts_without_duplicates_once_they_are_known(sqlite_mill: InlineMill, tmp_path: Path) -> None:
    source = write_texts(tmp_path / "texts.jsonl", TEXTS)
    order = Order(CORPUS, [str(source)], ["count"], {"skip_duplicates": "near"}, ListingOptions())
    add_schedule(sqlite_mill.parts, order, Timing("nightly", "30 1 * * *", "Asia/Shanghai"))
    assert night(sqlite_mill) == []
    with reading(sqlite_mill.parts.engine) as connection:
        (failed,) = schedule_runs.history(connection, "nightly", 1)
    assert (failed.state, "--do dedup first" in failed.detail) == ("FAILED", True)
    sqlite_mill.run([source], CORPUS, "dedup")
    assert night(sqlite_mill)
    assert counts_of(sqlite_mill) == serial_counts(kept(TEXTS, NEAR_REPEATS))


def night(mill: InlineMill) -> list[int]:
    """Have one night of the schedule pass; return the jobs of its run."""
    with reading(mill.parts.engine) as connection:
        schedule = schedules.get(connection, "nightly")
    run_id = transact(mill.parts.engine, partial(schedule_runs.fire_now, schedule=schedule))
    job_ids = start_run(mill.parts, mill, run_id)
    mill.work(*job_ids)
    tend_schedules(mill.parts.engine, mill)
    return job_ids


def test_an_order_that_names_no_similarity_or_mode_there_is_is_refused(sqlite_mill: InlineMill) -> None:
    check = partial(check_operations, sqlite_mill.parts.engine)
    with pytest.raises(UsageError, match=r"--similarity is a number from 0.5 to 0.99, not 1.2"):
        check(["dedup"], {"similarity": 1.2})
    with pytest.raises(UsageError, match=r"--similarity is a number .* not 'viel'"):
        check(["dedup"], {"similarity": "viel"})
    with pytest.raises(UsageError, match=r"--skip-duplicates is near .* not 'all'"):
        check(["count"], {"skip_duplicates": "all"})
    with pytest.raises(UsageError, match=r"--skip-duplicates is for count; --do names no such operation"):
        check(["tokenize", "dedup"], {"skip_duplicates": "near"})
    plain, without = (check(["count"], options)[0] for options in ({}, {"skip_duplicates": "near"}))
    assert plain.fingerprint != without.fingerprint
    assert "skip_duplicates" not in plain.parameters


def verified(mill: InlineMill, job_id: int) -> tuple[Counter[str], set[str]]:
    """Return how much of what was compared, and what differs."""
    report = verify_job(mill.parts, job_id, None, 1)
    return report.compared, {difference.what for difference in report.differences}


def alter(mill: InlineMill, statement: Any) -> None:
    assert transact(mill.parts.engine, lambda connection: connection.execute(statement)).rowcount == 1


def test_verifying_finds_what_somebody_altered_in_signatures_and_groups(mill: InlineMill, tmp_path: Path) -> None:
    source = write_texts(tmp_path / "texts.jsonl", TEXTS)
    (job_id,) = mill.run([source], CORPUS, "dedup")
    compared, differing = verified(mill, job_id)
    assert differing == set()
    assert (compared["signatures"], compared["equal texts"], compared["groups"]) == (len(TEXTS), len(TEXTS), 6)
    count_id = count(mill, [source], "near")["id"]
    assert verified(mill, count_id)[1] == set()

    of_third = (duplicate_members.c.group_number == 1) & (duplicate_members.c.number == 3)
    alter(mill, duplicate_members.update().where(of_third).values(text_number=2))
    assert verified(mill, job_id)[1] == {"groups", "equal texts"}
    alter(mill, duplicate_members.update().where(of_third).values(text_number=1, similarity=0.9))
    assert verified(mill, job_id)[1] == {"groups"}
    alter(mill, partial_signatures.update().where(partial_signatures.c.part == 7).values(data=b"\1\0" * 5 * len(TEXTS)))
    assert "signatures" in verified(mill, job_id)[1]
    alter(mill, partial_signatures.delete().where(partial_signatures.c.part == 0))
    assert verified(mill, job_id)[1] == {"signatures", "groups"}


def hanmill(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "workers.cli.main", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)


def test_a_user_sees_the_groups_and_exports_them(home: Path, tmp_path: Path) -> None:
    source = write_texts(tmp_path / "texts.jsonl", TEXTS)
    done = hanmill("run", source, "--corpus", CORPUS, "--do", "dedup", "--workers", 1)
    assert done.returncode == 0, done.stderr
    assert "the duplicates of c" in done.stdout
    assert [line.split()[:4] for line in done.stdout.splitlines() if line.startswith(("exact ", "near "))] == [
        ["exact", "1", "2", "1"],
        ["near", "1", "4", "3"],
    ]
    exported = hanmill("export", CORPUS, "--what", "duplicates", "--to", tmp_path / "d.jsonl")
    assert exported.returncode == 0, exported.stderr
    rows = [json.loads(line) for line in (tmp_path / "d.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["number"] for row in rows] == [1, 2, 3, 4, 1, 2]
    assert list(rows[0]) == ["group", "kind", "documents", "number", "text", "similarity", "key", "source", "offset"]
    shown = json.loads(hanmill("show", CORPUS, rows[-1]["key"], "--format", "json").stdout)
    assert shown["duplicates"] == {
        "group": 2,
        "kind": "exact",
        "documents": 2,
        "number": 2,
        "similarity": 1.0,
        "first": rows[-2]["key"],
    }


def test_a_corpus_without_a_document_has_no_duplicates(sqlite_mill: InlineMill, tmp_path: Path) -> None:
    source = tmp_path / "texts.jsonl"
    source.write_text("no json\n", encoding="utf-8")
    (job_id,) = sqlite_mill.run([source], CORPUS, "dedup")
    assert (view_of(sqlite_mill, job_id)["state"], members_of(sqlite_mill)) == ("DONE_WITH_DEAD", [])
    assert count(sqlite_mill, [source], "near")["dead"] == 1
