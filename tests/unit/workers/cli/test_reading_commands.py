from __future__ import annotations

import csv
import gzip
import io
import json
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.unit.workers.cli.conftest import POEMS, Invoke


def test_top_leaves_punctuation_out_unless_it_is_asked_for(poems: Path, invoke: Invoke) -> None:
    words = json.loads(invoke("top", "poems", "--format", "json").stdout)
    assert words[0] == {"word": "中国", "count": 2, "documents": 1}
    assert "，" not in {row["word"] for row in words}
    everything = json.loads(invoke("top", "poems", "--all", "--format", "json").stdout)
    assert everything[0] == {"word": "。", "count": 5, "documents": 3}


def test_top_shows_as_many_as_are_asked_for(poems: Path, invoke: Invoke) -> None:
    rows = list(csv.DictReader(io.StringIO(invoke("top", "poems", "-n", 3, "--format", "csv").stdout)))
    assert len(rows) == 3
    assert list(rows[0]) == ["word", "count", "documents"]


def test_an_unknown_corpus_is_wrong_usage_and_names_those_there_are(poems: Path, invoke: Invoke) -> None:
    shown = invoke("top", "novels")
    assert shown.exit_code == 2
    assert shown.stderr == "hanmill: there is no corpus 'novels'; there are: poems\n"


def test_a_fingerprint_picks_results_by_its_first_digits(poems: Path, invoke: Invoke) -> None:
    job = json.loads(invoke("status", 1, "--format", "json").stdout)
    assert invoke("top", "poems", "--fingerprint", job["fingerprint"][:6]).exit_code == 0
    missing = invoke("top", "poems", "--fingerprint", "ffffffff")
    assert missing.exit_code == 2
    assert "no word counts of fingerprint ffffffff" in missing.stderr


def test_show_gives_the_document_that_won_its_key(poems: Path, invoke: Invoke) -> None:
    document = json.loads(invoke("show", "poems", "春晓", "--format", "json").stdout)
    assert document["text"] == POEMS[2]["text"]
    assert document["source"] == str(poems)
    assert "".join(document["tokens"]) == POEMS[2]["text"]
    assert len(document["sha256"]) == 64
    assert document["offset"] > 0


def test_show_finds_a_record_by_its_place(poems: Path, invoke: Invoke) -> None:
    shown = invoke("show", "poems", f"{poems}@0")
    assert shown.exit_code == 0
    assert POEMS[0]["text"] in shown.stdout


@pytest.mark.parametrize("key", ["无题", "nowhere@0", "@0", "poems.jsonl@x"])
def test_show_refuses_what_is_no_document(key: str, poems: Path, invoke: Invoke) -> None:
    shown = invoke("show", "poems", key)
    assert shown.exit_code == 2
    assert "has no document" in shown.stderr


def test_show_says_when_the_source_has_changed(milled: Path, poems: Path, invoke: Invoke) -> None:
    before, times = poems.read_bytes(), poems.stat()
    try:
        poems.write_bytes(before + b"\n")
        document = json.loads(invoke("show", "poems", "春晓", "--format", "json").stdout)
    finally:
        poems.write_bytes(before)
        os.utime(poems, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert document["text"] is None
    assert "changed" in document["text_fault"]


def test_dead_letters_have_the_promised_shape(poems: Path, invoke: Invoke) -> None:
    (letter,) = json.loads(invoke("dead", 1, "--format", "json").stdout)
    assert letter == {
        "job": 1,
        "source": str(poems),
        "line": 4,
        "offset": letter["offset"],
        "key": letter["key"],
        "reason": "missing_field",
        "attempts": 1,
    }
    assert len(json.loads(invoke("dead", "--format", "json").stdout)) == 2


def test_dead_letters_show_their_detail_in_a_table(poems: Path, invoke: Invoke) -> None:
    shown = invoke("dead", 1)
    assert shown.exit_code == 0
    assert "no field 'text'" in shown.stdout


def test_jobs_are_listed_the_newest_first(poems: Path, invoke: Invoke) -> None:
    jobs = json.loads(invoke("jobs", "--format", "json").stdout)
    assert [job["id"] for job in jobs] == [2, 1]
    assert [job["operation"] for job in jobs] == ["tokenize", "count"]
    assert jobs[0]["created_at"][10] == "T"
    assert "DONE_WITH_DEAD" in invoke("jobs", "--all").stdout


def test_status_shows_the_equation(poems: Path, invoke: Invoke) -> None:
    shown = invoke("status", 2)
    assert shown.exit_code == 0
    assert "4 documents = 2 results + 0 identical + 1 replaced + 1 dead" in shown.stdout


def test_status_as_json_and_csv_has_the_figures(poems: Path, invoke: Invoke) -> None:
    report = json.loads(invoke("status", 1, "--format", "json").stdout)
    assert (report["documents"], report["results"], report["dead_standing"]) == (4, 3, 1)
    assert report["shards_by_state"] == {"DONE": 2}
    assert report["adds_up"] is True
    (row,) = csv.DictReader(io.StringIO(invoke("status", 1, "--format", "csv").stdout))
    assert row["state"] == "DONE_WITH_DEAD"


def test_watching_a_job_that_has_ended_gives_its_exit_code(poems: Path, invoke: Invoke) -> None:
    assert invoke("status", 1, "--watch").exit_code == 3
    assert invoke("dead", "discard", 1).exit_code == 0
    assert invoke("status", 1, "--watch").exit_code == 0
    assert invoke("status", 2, "--watch").exit_code == 3


@pytest.mark.parametrize("command", [("status", 9), ("dead", 9), ("dead", "replay", 9), ("dead", "discard", 9)])
def test_an_unknown_job_is_wrong_usage(command: tuple[object, ...], poems: Path, invoke: Invoke) -> None:
    shown = invoke(*command)
    assert shown.exit_code == 2
    assert "there is no job 9" in shown.stderr


def test_corpora_are_listed_with_what_they_hold(poems: Path, invoke: Invoke) -> None:
    listed = [invoke("corpora", "--format", "json"), invoke("corpora", "list", "--format", "json")]
    for shown in listed:
        assert json.loads(shown.stdout) == [{"name": "poems", "sources": 1, "bytes": poems.stat().st_size, "jobs": 2}]


def test_counts_are_exported_whole(poems: Path, invoke: Invoke, tmp_path: Path) -> None:
    target = tmp_path / "counts.jsonl.gz"
    shown = invoke("export", "poems", "--what", "counts", "--to", target)
    assert shown.exit_code == 0
    with gzip.open(target, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    assert rows[0] == {"word": "。", "count": 5, "documents": 3}
    report = json.loads(invoke("status", 1, "--format", "json").stdout)
    assert sum(row["count"] for row in rows) == report["tokens"]


def test_tokens_are_exported_in_order_of_the_keys(poems: Path, invoke: Invoke, tmp_path: Path) -> None:
    target = tmp_path / "tokens.parquet"
    assert invoke("export", "poems", "--what", "tokens", "--to", target).exit_code == 0
    rows = pq.read_table(target).to_pylist()
    assert [row["key"] for row in rows] == ["春晓", "静夜思"]
    assert "".join(rows[0]["tokens"]) == POEMS[2]["text"]


@pytest.mark.parametrize("name", ["counts.txt", "counts.parquet.gz", "missing/counts.csv"])
def test_an_export_that_cannot_be_written_is_wrong_usage(
    name: str, poems: Path, invoke: Invoke, tmp_path: Path
) -> None:
    shown = invoke("export", "poems", "--what", "counts", "--to", tmp_path / name)
    assert shown.exit_code == 2
    assert list(tmp_path.iterdir()) == []
