"""Documents that raise, recurse, never end, eat memory or kill: each is set aside alone, and all else is computed.

How poison is made is told in `tests/support/poison`. Every wait here is for an end that must come by itself.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from storage import jobs
from storage.engine import reading
from storage.replay import replay
from storage.schema import attempts
from storage.sources import ListingOptions
from tests.faults.chaos.checks import unequal_results
from tests.faults.chaos.feeds import OPTIONS, key_of
from tests.support.availability import REPOSITORY
from tests.support.deployment import assert_adds_up
from tests.support.poisoned_deployment import PoisonedDeployment, poisoned
from tests.support.reference import serial_counts

pytestmark = [pytest.mark.fault, pytest.mark.timeout(600)]

#: What the letter of each poison says, and its reason. First those that end by themselves, soon.
QUICK = {
    "毒甲": ("failed", "ValueError: 这一篇算不出来"),
    "毒乙": ("failed", "RecursionError: maximum recursion depth exceeded"),
    "毒己": ("failed", "MemoryError: its process may have no more memory (HANMILL_PROCESS_MEMORY_BYTES)"),
    "毒庚": ("killed", "its process ended by SIGKILL: the kernel sends it when memory runs out"),
    "毒辛": ("killed", "its process ended by SIGSEGV: a library read memory that is not there"),
}
ENDLESS = {
    "毒丙": ("failed", "StalledError: no document was finished for 3 s (HANMILL_STALL_LIMIT_S)"),
    "毒丁": ("killed", "its process ended with status 1: C code let no Python run for longer"),
    "毒戊": ("killed", "its process ended with status 71: no document was finished, and nothing could interrupt it"),
}
#: The exit code of a run that is done, with dead letters.
EXIT_DEAD = 3
#: More than a worker with its dictionary needs, less than a machine has.
MEMORY_BYTES = 1536 * 1024 * 1024
#: The same of a worker with PyTorch and a model.
MODEL_MEMORY_BYTES = 3 * 1024 * 1024 * 1024
#: Documents that kill, of a thousand in one shard; and the most processes that may be lost until they stand alone. The
#: halves come in ten steps, of which those with killers in them are at most 2, 4, 8, 10, 10 … 10: 84 until each stands
#: alone. Two processes are lost to all of them together, and one more to each alone.
KILLERS = 10
MOST_LOST = 2 + 84 + KILLERS


@pytest.fixture
def mill(home: Path, database_url: str, redis_url: str) -> Iterator[PoisonedDeployment]:
    """Return a deployment on each kind of database in turn, without a worker yet."""
    yield from _opened(home, database_url, redis_url)


@pytest.fixture
def sqlite_mill(home: Path, sqlite_url: str, redis_url: str) -> Iterator[PoisonedDeployment]:
    """Return one on SQLite alone, where the database decides nothing of what is tested."""
    yield from _opened(home, sqlite_url, redis_url)


def _opened(home: Path, database_url: str, redis_url: str) -> Iterator[PoisonedDeployment]:
    made = PoisonedDeployment(home, database_url, redis_url, process_memory_bytes=MEMORY_BYTES)
    yield made
    made.parts.engine.dispose()


def sentences(number: int) -> list[str]:
    """Return documents, each another one."""
    return [f"今天是第{one}天，我们在北京的研究所讨论了新的方法。" for one in range(number)]


def with_poison(texts: Sequence[str], words: Mapping[int, str]) -> list[str]:
    """Return texts with poisonous documents inserted at some places."""
    mixed = list(texts)
    for place, word in sorted(words.items()):
        mixed.insert(place, f"这里有{word}。")
    return mixed


def write(path: Path, texts: Sequence[str]) -> Path:
    """Write texts with their keys, one on a line."""
    lines = (json.dumps({"id": key_of(number), "text": text}, ensure_ascii=False) for number, text in enumerate(texts))
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def submit(mill: PoisonedDeployment, path: Path, *operations: str, **order: Any) -> Any:
    """Submit a file whose documents have keys."""
    listing = ListingOptions(key_field="id")
    return mill.submit([path], operations=list(operations or ("count",)), listing=listing, **order)


def check_letters(
    mill: PoisonedDeployment, view: Mapping[str, Any], path: Path, expected: Mapping[str, tuple[str, str]]
) -> None:
    """Check that exactly the poisonous documents are set aside, each with its place and with what happened."""
    assert view["state"] == "DONE_WITH_DEAD"
    assert_adds_up(view)
    letters = mill.letters(view["id"])
    lines = path.read_text(encoding="utf-8").splitlines()
    for word, (reason, explanation) in expected.items():
        ((number, line),) = ((number, line) for number, line in enumerate(lines) if word in line)
        letter = letters.pop(json.loads(line)["id"])
        assert (letter["reason"], letter["source"], letter["line"]) == (reason, str(path), number + 1), word
        assert explanation in letter["detail"], word
    assert letters == {}
    assert view["results"] == len(lines) - len(expected)


def check_mended(mill: PoisonedDeployment, orders: Sequence[tuple[Any, Sequence[str], int]]) -> None:
    """Mend what is ill, replay orders (each with its texts and its letters), and compare every result."""
    mill.mend()
    for submitted, _, letters in orders:
        for job in submitted.jobs:
            assert replay(mill.parts.engine, job.id).letters == letters
    for submitted, texts, _ in orders:
        for view in mill.wait(submitted):
            assert (view["state"], view["results"], view["dead"]) == ("DONE", len(texts), 0)
            assert_adds_up(view)
            with reading(mill.parts.engine) as connection:
                compared, found = unequal_results(connection, jobs.get(connection, view["id"]), texts)
            assert found == []
            assert compared >= len(texts)


def test_documents_that_fail_or_kill_are_set_aside_alone_and_computed_when_it_is_mended(
    mill: PoisonedDeployment, tmp_path: Path
) -> None:
    good = sentences(16)
    # The first document, the last one, and two in one shard.
    texts = with_poison(good, dict(zip((0, 3, 5, 12, 20), QUICK, strict=True)))
    path = write(tmp_path / "a.jsonl", texts)
    with mill.workers(2):
        submitted = submit(mill, path, "count", "tokenize", shard_bytes=700)
        for view in mill.wait(submitted):
            check_letters(mill, view, path, QUICK)
        assert mill.counts() == serial_counts(good)
        check_mended(mill, [(submitted, texts, len(QUICK))])


def test_documents_that_never_end_are_set_aside_alone(
    home: Path, sqlite_url: str, redis_url: str, tmp_path: Path
) -> None:
    mill = PoisonedDeployment(home, sqlite_url, redis_url, stall_limit_s=3.0, frozen_limit_s=2.5)
    # A document a shard: nothing but waiting comes of finding each of these by halves, as others are.
    _check_endless(mill, tmp_path, ENDLESS, shard_bytes=80)
    mill.parts.engine.dispose()


def test_the_time_limits_of_a_shard_end_what_the_other_limits_do_not(
    home: Path, sqlite_url: str, redis_url: str, tmp_path: Path
) -> None:
    limits = {"soft_time_limit_s": 3.0, "hard_time_limit_s": 5.0, "stall_limit_s": 600.0, "frozen_limit_s": 600.0}
    mill = PoisonedDeployment(home, sqlite_url, redis_url, **limits)
    expected = {
        "毒丙": ("failed", "SoftTimeLimitExceeded: it ran for longer than 3 s (HANMILL_SOFT_TIME_LIMIT_S)"),
        "毒丁": ("killed", "its process was ended: it ran for longer than 5 s (HANMILL_HARD_TIME_LIMIT_S)"),
    }
    # Two or three documents a shard.
    _check_endless(mill, tmp_path, expected, shard_bytes=240)
    mill.parts.engine.dispose()


def _check_endless(
    mill: PoisonedDeployment, tmp_path: Path, expected: Mapping[str, tuple[str, str]], shard_bytes: int
) -> None:
    good = sentences(2 * len(expected))
    texts = with_poison(good, {3 * number: word for number, word in enumerate(expected)})
    path = write(tmp_path / "a.jsonl", texts)
    with mill.workers(3):
        (view,) = mill.wait(submit(mill, path, "tokenize", shard_bytes=shard_bytes))
    check_letters(mill, view, path, expected)


def test_ten_killers_among_a_thousand_are_found_in_few_tries_while_another_corpus_is_counted(
    sqlite_mill: PoisonedDeployment, tmp_path: Path
) -> None:
    good, others = sentences(1000 - KILLERS), sentences(40)
    # At the ends, two side by side, and the others anywhere.
    places = (0, 61, 62, 187, 350, 500, 613, 777, 801, 999)
    words = {place: f"毒庚之{number}号" for number, place in enumerate(places)}
    path = write(tmp_path / "a.jsonl", with_poison(good, words))
    with sqlite_mill.workers(3):
        submitted = submit(sqlite_mill, path, shard_bytes=1_000_000)
        (other,) = sqlite_mill.wait(submit(sqlite_mill, write(tmp_path / "b.jsonl", others), corpus="others"))
        (view,) = sqlite_mill.wait(submitted)
    assert other["state"] == "DONE"
    assert sqlite_mill.counts("others") == serial_counts(others)
    check_letters(sqlite_mill, view, path, dict.fromkeys(words.values(), QUICK["毒庚"]))
    assert sqlite_mill.counts() == serial_counts(good)
    with reading(sqlite_mill.parts.engine) as connection:
        lost = connection.scalar(
            select(func.count()).where(attempts.c.job_id == view["id"], attempts.c.outcome == "lost")
        )
    print(f"POISON {KILLERS} killers among 1,000 documents in one shard: {lost} processes lost")  # noqa: T201 - measured
    # Alone each is tried twice, as are all of them together; of every half with killers in it one process is lost.
    assert lost in range(2 * KILLERS, MOST_LOST + 1)


def test_what_fails_or_kills_where_a_model_computes_takes_no_other_document_with_it(
    home: Path, sqlite_url: str, redis_url: str, tmp_path: Path
) -> None:
    mill = PoisonedDeployment(home, sqlite_url, redis_url, max_losses=1, process_memory_bytes=MODEL_MEMORY_BYTES)
    word = "毒庚在设备上"
    labelled = with_poison(sentences(6), {1: "毒己", 3: word, 5: "毒甲"})
    summarized = with_poison(sentences(6), {0: "毒乙", 4: "毒甲"})
    paths = [write(tmp_path / "a.jsonl", labelled), write(tmp_path / "b.jsonl", summarized)]
    failing = {name: ("model_failed", QUICK[name][1]) for name in ("毒甲", "毒乙")}
    failing["毒己"] = ("out_of_memory", QUICK["毒己"][1])
    with mill.workers(1, kind="gpu"):
        # A shard a document, and all of them one batch, until it has been lost twice.
        orders = [
            submit(mill, paths[0], "classify", shard_bytes=100),
            submit(mill, paths[1], "summarize", shard_bytes=100, corpus="titles", options=OPTIONS["summarize"]),
        ]
        (labels,), (titles,) = (mill.wait(order) for order in orders)
        check_letters(mill, labels, paths[0], {word: QUICK["毒庚"], "毒甲": failing["毒甲"], "毒己": failing["毒己"]})
        check_letters(mill, titles, paths[1], {"毒甲": failing["毒甲"], "毒乙": failing["毒乙"]})
        check_mended(mill, [(orders[0], labelled, 3), (orders[1], summarized, 2)])
    mill.parts.engine.dispose()


def test_a_run_on_one_machine_survives_a_killer_and_its_commands_set_it_right(home: Path, tmp_path: Path) -> None:
    good = sentences(3)
    texts = with_poison(good, {1: "毒庚", 3: "毒甲"})
    path = write(tmp_path / "a.jsonl", texts)

    def hanmill(*arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        tries = {"HANMILL_MAX_FAILURES": "2", "HANMILL_MAX_LOSSES": "2"}
        return subprocess.run(
            [sys.executable, "-m", "workers.cli.main", *arguments],
            env={**os.environ, **tries, **(environment or {})},
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )

    order = ["run", str(path), "--corpus", "c", "--do", "count,tokenize", "--key-field", "id", "--workers", "1"]
    ill = hanmill(*order, environment=poisoned(dict(os.environ)))
    assert ill.returncode == EXIT_DEAD, ill.stderr
    letters = json.loads(hanmill("dead", "--format", "json").stdout)
    assert [(letter["job"], letter["line"], letter["key"], letter["reason"]) for letter in letters] == [
        (job, *place) for job in (1, 2) for place in ((2, key_of(1), "killed"), (4, key_of(3), "failed"))
    ]
    assert hanmill("dead", "replay", "1").returncode == 0
    assert hanmill("dead", "discard", "2").returncode == 0
    again = hanmill(*order)
    assert again.returncode == 0, again.stderr
    assert json.loads(hanmill("dead", "--format", "json").stdout) == []
    exported = hanmill("export", "c", "--what", "counts", "--to", str(tmp_path / "counts.csv"))
    assert exported.returncode == 0, exported.stderr
    with (tmp_path / "counts.csv").open(encoding="utf-8", newline="") as stream:
        counts = {row["word"]: (int(row["count"]), int(row["documents"])) for row in csv.DictReader(stream)}
    assert counts == serial_counts(texts)
