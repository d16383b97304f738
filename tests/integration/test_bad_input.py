"""Bad input through the whole mill: each fault is one dead letter with its place, and everything else is counted."""

from __future__ import annotations

import bz2
import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import zstandard

from storage.corpora import corpus_id_of
from storage.engine import open_engine, reading
from storage.word_counts import by_count, current_generation
from tests.support.reference import serial_counts

GOOD = "北京大学的学生来到了图书馆。"


def mill(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command of the mill in a process of its own."""
    command = [sys.executable, "-m", "workers.cli.main", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=230)


def letters() -> list[dict[str, Any]]:
    """Return the dead letters as they are printed."""
    return list(json.loads(mill("dead", "--format", "json").stdout))


def counts(home: Path, corpus: str) -> dict[str, tuple[int, int]]:
    """Return the counts of a corpus as they stand in SQL."""
    engine = open_engine(f"sqlite:///{home / 'hanmill.db'}")
    with reading(engine) as connection:
        generation = current_generation(connection, corpus_id_of(connection, corpus))
        assert generation is not None
        return {word: (count, documents) for word, count, documents in by_count(connection, generation)}


def line(text: object = GOOD) -> bytes:
    """Return a record of JSON Lines."""
    return json.dumps({"text": text}, ensure_ascii=False).encode() + b"\n"


#: What stands in line 7 of a file of ten lines, and the reason it is set aside for.
FAULTS = {
    "undecodable": line()[:20] + b"\xff\xfe" + line()[20:],
    "nul": b'{"text": "\\u0000"}\n',
    "surrogate": b'{"text": "\\ud83d"}\n',
    "broken_json": b'{"text": "x"\n',
    "missing_field": b'{"title": "x"}\n',
    "not_a_string": b'{"text": 5}\n',
    "not_an_object": b"[1]\n",
}


@pytest.mark.timeout(480)
def test_every_fault_is_set_aside_with_its_place_and_the_rest_is_counted(home: Path, tmp_path: Path) -> None:
    for reason, fault in FAULTS.items():
        (tmp_path / f"{reason}.jsonl").write_bytes(line() * 6 + fault + line() * 3)
    done = mill("run", tmp_path, "--corpus", "faults", "--workers", 2, "--format", "json", "--shard-bytes", 300)
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    (job,) = json.loads(done.stdout)["jobs"]
    assert (job["documents"], job["dead"]) == (10 * len(FAULTS), len(FAULTS))
    found = {Path(letter["source"]).stem: letter for letter in letters()}
    assert set(found) == set(FAULTS)
    for reason, letter in found.items():
        assert (letter["reason"], letter["line"], letter["offset"]) == (reason, 7, len(line()) * 6)
    assert counts(home, "faults") == serial_counts([GOOD] * 9 * len(FAULTS))
    again = mill("run", tmp_path, "--corpus", "faults", "--workers", 2, "--format", "json")
    assert again.returncode == 3
    assert "nothing to compute" in again.stderr
    assert len(letters()) == 2 * len(FAULTS), "each job has its own list"


@pytest.mark.timeout(480)
def test_a_record_of_a_hundred_megabytes_and_cut_archives_cost_no_good_record(home: Path, tmp_path: Path) -> None:
    with (tmp_path / "huge.jsonl").open("wb") as huge:
        huge.write(line() * 2 + b'{"text": "')
        for _ in range(100):
            huge.write("字".encode() * 350_000)
        huge.write(b'"}\n' + line())
    whole = gzip.compress(line() * 50_000)
    (tmp_path / "cut.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "whole.jsonl.bz2").write_bytes(bz2.compress(line() * 3))
    (tmp_path / "whole.jsonl.zst").write_bytes(zstandard.compress(line() * 3))
    done = mill("run", tmp_path, "--corpus", "big", "--workers", 2, "--format", "json")
    assert done.returncode == 3, done.stderr
    found = {Path(letter["source"]).name: letter for letter in letters()}
    assert {name: letter["reason"] for name, letter in found.items()} == {
        "huge.jsonl": "too_long",
        "cut.jsonl.gz": "truncated",
    }
    assert found["huge.jsonl"]["line"] == 3
    (job,) = json.loads(done.stdout)["jobs"]
    readable = job["documents"] - 2 - 3 - 3 - 3
    assert 10_000 < readable < 50_000, "what could be read of the archive counts"
    assert counts(home, "big") == serial_counts([GOOD] * (readable + 9))


@pytest.mark.timeout(480)
def test_odd_but_good_input_is_taken_as_it_is(home: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_bytes(b"")
    (tmp_path / "bom.txt").write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    (tmp_path / "crlf.txt").write_bytes(f"{GOOD}\r\n{GOOD}".encode())
    (tmp_path / "新闻　一（副本）.txt").write_bytes(GOOD.encode())
    same_key = [{"id": 1, "text": GOOD}, {"id": 1, "text": GOOD}, {"id": "1", "text": "后来的文本。"}]
    (tmp_path / "keys.jsonl").write_text("".join(json.dumps(record) + "\n" for record in same_key))
    arguments = ("--corpus", "odd", "--workers", 2, "--key-field", "id", "--do", "count,tokenize", "--format", "json")
    done = mill("run", tmp_path, *arguments)
    assert done.returncode == 0, done.stderr
    texts = [GOOD, f"{GOOD}\r\n{GOOD}", GOOD, GOOD, GOOD, "后来的文本。"]
    assert counts(home, "odd") == serial_counts(texts)
    count, tokenize = (json.loads(mill("status", job["id"], "--format", "json").stdout) for job in _jobs(done))
    assert (count["documents"], count["results"]) == (6, 6)
    assert (tokenize["documents"], tokenize["results"]) == (6, 4)
    assert (tokenize["identical"], tokenize["replaced"]) == (0, 2)


def _jobs(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return list(json.loads(done.stdout)["jobs"])
