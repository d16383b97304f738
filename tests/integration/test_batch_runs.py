"""Shards of a model operation are computed together, and each keeps its own lease, dead letters and end."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from storage import batch_runs, dead_letters, job_ledger, jobs, ledger, summaries
from storage.engine import reading, transact
from storage.errors import UsageError
from storage.schema import shards
from storage.states import JobState
from tasks import model_runners
from tasks.nn.backend import EMPTY_TEXT, UnfitTextError
from tasks.operation import Workplace
from tasks.summarize.operation import SummarizeOperation
from tests.support.builders import shard, shard_ids
from tests.support.deployment import assert_adds_up
from tests.support.inline_mill import InlineMill
from tests.support.mill_results import open_mill, view_of, write_texts
from workers.attempt_end import AttemptFailedError, show
from workers.run_shard import run_shard

#: All of one length, so that a shard of `LINE_BYTES` is a shard of one document.
TEXTS = [f"第{number:02}篇文章，讲的是第{number * 7 % 13:02}座城市的天气。" for number in range(60)]
LINE_BYTES = len(json.dumps({"text": TEXTS[0]}, ensure_ascii=False).encode()) + 1


@dataclass(frozen=True)
class Opening:
    """The beginning of a text."""

    text: str

    @property
    def length(self) -> int:
        return len(self.text)


@dataclass(frozen=True)
class Beginning:
    """A summary: the first characters."""

    text: str
    spans: tuple[tuple[int, int], ...]


class FirstCharacters:
    """A summarizer that takes the first five characters, and does what a test wants on the way."""

    digest = "f" * 64

    def __init__(self) -> None:
        self.computed: list[list[str]] = []
        self.before_forward: Callable[[Sequence[Opening]], None] = lambda windows: None

    def windows(self, text: str) -> list[Opening]:
        if not text.strip():
            raise UnfitTextError(EMPTY_TEXT, "there is nothing to summarize")
        return [Opening(text)]

    def forward(self, windows: Sequence[Opening]) -> list[int]:
        self.before_forward(windows)
        self.computed.append([window.text for window in windows])
        return [min(5, window.length) for window in windows]

    def result(self, text: str, windows: Sequence[Opening], outputs: Sequence[int]) -> Beginning:
        return Beginning(text[: outputs[0]], ((0, outputs[0]),))

    @property
    def texts(self) -> list[str]:
        """What was computed for documents, the warm-up aside."""
        return [text for batch in self.computed for text in batch if text.startswith(("第", "毒"))]


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> FirstCharacters:
    made = FirstCharacters()

    def open_backend(self: SummarizeOperation, parameters: Mapping[str, Any], workplace: Workplace) -> FirstCharacters:
        return made

    monkeypatch.setattr(SummarizeOperation, "open_backend", open_backend)
    monkeypatch.setattr("workers.shard_ends._delay_s", lambda _: 0.0)
    model_runners.drop_runners()
    return made


@pytest.fixture
def mill(home: Path, database_url: str, backend: FirstCharacters) -> Iterator[InlineMill]:
    with open_mill(home, database_url, max_failures=2, max_losses=3, max_deferrals=2) as made:
        yield made
    model_runners.drop_runners()


def submit(mill: InlineMill, *paths: Path, shard_bytes: int = LINE_BYTES) -> int:
    return mill.submit(paths, "c", "summarize", options={"backend": "lead"}, shard_bytes=shard_bytes).jobs[0].id


def summaries_of(mill: InlineMill, job_id: int) -> list[str]:
    with reading(mill.parts.engine) as connection:
        row = jobs.get(connection, job_id)
        return [exported["summary"] for exported in summaries.export_rows(connection, row.corpus_id, row.fingerprint)]


def letters_of(mill: InlineMill, job_id: int) -> list[tuple[str, int]]:
    with reading(mill.parts.engine) as connection:
        return [(letter["reason"], letter["line"]) for letter in dead_letters.list_letters(connection, job_id)]


def test_many_shards_of_one_document_make_few_batches(
    mill: InlineMill, backend: FirstCharacters, tmp_path: Path
) -> None:
    job_id = submit(mill, write_texts(tmp_path / "a.jsonl", TEXTS))
    assert len(shard_ids(mill.parts.engine, job_id)) == len(TEXTS)
    mill.work(job_id)
    ended = view_of(mill, job_id)
    assert (ended["state"], ended["results"], ended["dead"]) == ("DONE", len(TEXTS), 0)
    assert sorted(summaries_of(mill, job_id)) == sorted(text[:5] for text in TEXTS)
    assert sorted(backend.texts) == sorted(TEXTS)
    with_texts = [batch for batch in backend.computed if batch[0] in TEXTS]
    assert len(with_texts) <= 4


@pytest.mark.parametrize("shard_bytes", [1, LINE_BYTES, 500, 10**6])
def test_the_results_are_the_same_for_any_size_of_shard(
    mill: InlineMill, backend: FirstCharacters, tmp_path: Path, shard_bytes: int
) -> None:
    job_id = submit(mill, write_texts(tmp_path / "a.jsonl", TEXTS), shard_bytes=shard_bytes)
    mill.work(job_id)
    assert sorted(summaries_of(mill, job_id)) == sorted(text[:5] for text in TEXTS)


def test_what_a_run_came_to_is_written_down(mill: InlineMill, tmp_path: Path) -> None:
    job_id = submit(mill, write_texts(tmp_path / "a.jsonl", TEXTS))
    mill.work(job_id)
    with reading(mill.parts.engine) as connection:
        fingerprint = jobs.get(connection, job_id).fingerprint
        totals = batch_runs.totals(connection, [fingerprint])[fingerprint]
    assert totals["documents"] == len(TEXTS)
    assert totals["tokens"] == sum(len(text) for text in TEXTS)
    assert 0 <= totals["padding_waste"] < 0.1
    assert totals["documents_per_s"] > 0


def test_a_text_that_has_a_summary_is_not_computed_again(
    mill: InlineMill, backend: FirstCharacters, tmp_path: Path
) -> None:
    mill.work(submit(mill, write_texts(tmp_path / "a.jsonl", TEXTS[:50])))
    backend.computed.clear()
    job_id = submit(mill, write_texts(tmp_path / "b.jsonl", TEXTS), shard_bytes=10**6)
    mill.work(job_id)
    assert sorted(backend.texts) == sorted(TEXTS[50:])
    assert view_of(mill, job_id)["results"] == 50 + len(TEXTS)


def test_a_text_that_cannot_be_computed_is_a_dead_letter_and_the_others_of_its_batch_live(
    mill: InlineMill, backend: FirstCharacters, tmp_path: Path
) -> None:
    def refuse(windows: Sequence[Opening]) -> None:
        if any(window.text.startswith("毒") for window in windows):
            message = "poison"
            raise ValueError(message)

    backend.before_forward = refuse
    texts = [*TEXTS[:20], "毒药", *TEXTS[20:], "", "  \n "]
    job_id = submit(mill, write_texts(tmp_path / "a.jsonl", texts), shard_bytes=500)
    mill.work(job_id)
    ended = view_of(mill, job_id)
    assert_adds_up(ended)
    assert (ended["state"], ended["documents"], ended["results"], ended["dead"]) == ("DONE_WITH_DEAD", 63, 60, 3)
    assert letters_of(mill, job_id) == [("model_failed", 21), ("empty_text", 62), ("empty_text", 63)]


def test_the_numbers_add_up_when_a_dead_document_has_the_key_of_another(
    mill: InlineMill, backend: FirstCharacters, tmp_path: Path
) -> None:
    path = tmp_path / "a.jsonl"
    rows = [("k", " "), ("k", TEXTS[0]), ("m", TEXTS[1]), ("m", ""), ("n", TEXTS[2]), ("n", TEXTS[3])]
    path.write_text("".join(json.dumps({"id": key, "text": text}) + "\n" for key, text in rows), encoding="utf-8")
    from storage.sources import ListingOptions  # noqa: PLC0415

    listing = ListingOptions(key_field="id")
    for operations in (("tokenize",), ("summarize",)):
        for job_id in mill.run([path], "c", *operations, options={"backend": "lead"}, listing=listing):
            assert_adds_up(view_of(mill, job_id))


def test_a_shard_whose_lease_is_lost_on_the_way_drops_out_alone(
    mill: InlineMill, backend: FirstCharacters, tmp_path: Path
) -> None:
    job_id = submit(mill, write_texts(tmp_path / "a.jsonl", TEXTS))
    engine = mill.parts.engine
    lost = shard_ids(engine, job_id)[7]

    def lose(windows: Sequence[Opening]) -> None:
        backend.before_forward = lambda windows: None
        transact(engine, lambda connection: ledger._lose(connection, shards.c.id == lost))

    backend.before_forward = lose
    # The warm-up comes first and loses nothing: nothing is leased to anybody yet.
    shard_id, _ = mill.messages[0]
    backend.before_forward = lambda windows: lose(windows) if windows[0].text.startswith("第") else None
    ends = run_shard(mill.parts, shard_id, "inline@test/1/1")
    outcomes = {end.held.shard_id: end.outcome for end in ends}
    assert outcomes.pop(lost) == "lost"
    assert set(outcomes.values()) == {"done"}
    states = {number: shard(engine, number).state for number in shard_ids(engine, job_id)}
    assert states.pop(lost) == "PENDING"
    assert set(states.values()) == {"DONE"}
    mill.work(job_id)
    assert view_of(mill, job_id)["results"] == len(TEXTS)


def test_a_run_that_fails_as_a_whole_tells_of_each_of_its_shards(
    mill: InlineMill, backend: FirstCharacters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_texts(tmp_path / "a.jsonl", TEXTS)
    job_id = submit(mill, path)

    def fail(*_: Any) -> None:
        message = "写不进去"
        raise ValueError(message)

    monkeypatch.setattr("workers.run_batch.save_records", fail)
    ends = run_shard(mill.parts, mill.messages[0][0], "inline@test/1/1")
    assert [end.held.shard_id for end in ends] == shard_ids(mill.parts.engine, job_id)
    assert {end.outcome for end in ends} == {"failed"}
    assert all(end.reason.startswith(f"ValueError: 写不进去 ({path}, ") for end in ends)
    with pytest.raises(AttemptFailedError, match=f"^{len(ends)} of {len(ends)} shards: shard {ends[0].held.shard_id} "):
        show(ends)


def test_nothing_commits_for_a_job_that_is_cancelled_on_the_way(
    mill: InlineMill, backend: FirstCharacters, tmp_path: Path
) -> None:
    job_id = submit(mill, write_texts(tmp_path / "a.jsonl", TEXTS))
    engine = mill.parts.engine

    def cancel(windows: Sequence[Opening]) -> None:
        if windows[0].text.startswith("第"):
            transact(engine, lambda connection: job_ledger.cancel(connection, job_id, JobState.CANCELLED))

    backend.before_forward = cancel
    mill.work(job_id)
    assert view_of(mill, job_id)["state"] == "CANCELLED"
    assert summaries_of(mill, job_id) == []


def test_a_shard_that_has_failed_is_not_computed_in_company(
    mill: InlineMill, backend: FirstCharacters, tmp_path: Path
) -> None:
    job_id = submit(mill, write_texts(tmp_path / "a.jsonl", TEXTS))
    engine = mill.parts.engine
    ids = shard_ids(engine, job_id)
    held = transact(engine, lambda connection: ledger.lease(connection, ids[3], "w", 60.0))
    assert held is not None
    transact(engine, lambda connection: ledger.fail(connection, held, "broken", 0.0))
    first = transact(engine, lambda connection: ledger.lease(connection, ids[0], "w", 60.0))
    assert first is not None
    companions = transact(
        engine,
        lambda connection: ledger.lease_companions(connection, first, "w", 60.0, max_bytes=10**6, max_shards=1000),
    )
    assert {held.shard_id for held in companions} == set(ids) - {ids[0], ids[3]}


def test_companions_stay_within_the_batch_budget(mill: InlineMill, tmp_path: Path) -> None:
    job_id = submit(mill, write_texts(tmp_path / "a.jsonl", TEXTS))
    engine = mill.parts.engine
    ids = shard_ids(engine, job_id)
    size_bytes = shard(engine, ids[1]).bytes

    def companions(max_bytes: int, max_shards: int) -> int:
        first = transact(engine, lambda connection: ledger.lease(connection, ids[0], "w", 60.0))
        assert first is not None
        found = transact(
            engine,
            lambda connection: ledger.lease_companions(
                connection, first, "w", 60.0, max_bytes=max_bytes, max_shards=max_shards
            ),
        )
        transact(engine, lambda connection: ledger.free_worker(connection, "w", stopped=True))
        return len(found)

    assert companions(size_bytes * 3 + 20, 1000) in {3, 4}
    assert companions(10**6, 5) == 5


def test_a_bug_of_the_run_is_written_down_and_every_shard_is_tried_again(
    mill: InlineMill, backend: FirstCharacters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    healthy = SummarizeOperation.save
    failing = iter([True])

    def save(self: SummarizeOperation, *given: Any) -> None:
        if next(failing, False):
            message = "no such column"
            raise KeyError(message)
        healthy(self, *given)

    monkeypatch.setattr(SummarizeOperation, "save", save)
    job_id = submit(mill, write_texts(tmp_path / "a.jsonl", TEXTS))
    mill.work(job_id)
    ended = view_of(mill, job_id)
    assert (ended["state"], ended["results"], ended["failures"]) == ("DONE", len(TEXTS), len(TEXTS))


def test_a_model_that_cannot_be_loaded_is_waited_for_and_then_the_job_fails_with_the_reason(
    mill: InlineMill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_backend(self: SummarizeOperation, parameters: Mapping[str, Any], workplace: Workplace) -> None:
        message = "the model was altered"
        raise UsageError(message)

    monkeypatch.setattr(SummarizeOperation, "open_backend", open_backend)
    job_id = submit(mill, write_texts(tmp_path / "a.jsonl", TEXTS))
    for _ in range(10):
        mill.work(job_id)
    ended = view_of(mill, job_id)
    assert (ended["state"], ended["reason"]) == ("FAILED", "the model was altered")
    assert ended["failures"] == 0


def test_a_model_that_breaks_on_the_way_makes_no_dead_letter(
    mill: InlineMill, backend: FirstCharacters, tmp_path: Path
) -> None:
    # A batch of four, its half, one text of it, the same again, and then the text that is known to be good.
    broken = iter([False, *[True] * 5])

    def break_down(windows: Sequence[Opening]) -> None:
        is_broken = next(broken, False) if backend.texts else False
        if is_broken:
            message = "device-side assert"
            raise RuntimeError(message)

    backend.before_forward = break_down
    job_id = submit(mill, write_texts(tmp_path / "a.jsonl", TEXTS))
    mill.parts.settings.__dict__["batch_shards"] = 3
    mill.work(job_id)
    ended = view_of(mill, job_id)
    assert (ended["state"], ended["results"], ended["dead"]) == ("DONE", len(TEXTS), 0)


def test_a_source_that_changes_under_a_batch_is_planned_again(
    mill: InlineMill, backend: FirstCharacters, tmp_path: Path
) -> None:
    path = write_texts(tmp_path / "a.jsonl", TEXTS)
    other = write_texts(tmp_path / "b.jsonl", ["第100篇，别的。"])
    job_id = submit(mill, path, other)
    write_texts(path, TEXTS[:5])
    mill.work(job_id)
    ended = view_of(mill, job_id)
    assert (ended["state"], ended["results"]) == ("DONE", 6)
    assert sorted(summaries_of(mill, job_id)) == sorted([*(text[:5] for text in TEXTS[:5]), "第100篇"])


def test_a_worker_without_pytorch_puts_the_shard_back_and_says_what_is_missing(
    mill: InlineMill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(mill, write_texts(tmp_path / "a.jsonl", TEXTS[:1]))
    # None stands for a module that cannot be imported.
    monkeypatch.setitem(sys.modules, "workers.run_batch", None)
    shard_id, _ = mill.messages.pop(0)
    (end,) = run_shard(mill.parts, shard_id, "inline@test/1/1")
    assert (end.outcome, end.reason) == (
        "deferred",
        "this worker lacks workers.run_batch: pip install 'hanmill[models]'",
    )
    waiting = shard(mill.parts.engine, shard_id)
    assert (waiting.state, waiting.failures) == ("PENDING", 0)
    assert "pip install 'hanmill[models]'" in waiting.error


def test_a_device_that_is_not_there_is_waited_for_and_named(
    home: Path, sqlite_url: str, backend: FirstCharacters, tmp_path: Path
) -> None:
    with open_mill(home, sqlite_url, device="cuda:99", max_deferrals=1) as mill:
        job_id = submit(mill, write_texts(tmp_path / "a.jsonl", TEXTS[:1]))
        mill.work(job_id)
        mill.work(job_id)
        ended = view_of(mill, job_id)
    assert (ended["state"], ended["failures"]) == ("FAILED", 0)
    assert "cuda:99 is not here" in ended["reason"]


def test_a_model_for_nothing_that_is_done_is_wrong_usage(mill: InlineMill, tmp_path: Path) -> None:
    path = write_texts(tmp_path / "a.jsonl", TEXTS[:1])
    with pytest.raises(UsageError, match="--do names neither"):
        mill.submit([path], "c", "count", options={"models": ["default"]})
    with pytest.raises(UsageError, match="no directory, and no model of that name"):
        mill.submit([path], "c", "summarize", options={"models": ["nobody"]})
