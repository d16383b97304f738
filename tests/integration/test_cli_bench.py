"""`hanmill bench` as a user starts it, on the sample corpus."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.support.availability import REPOSITORY

CORPUS = REPOSITORY / "tests" / "samples" / "corpus"


def bench(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "workers.cli.main", "bench", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)


def test_all_contenders_are_measured_and_compared(tmp_path: Path) -> None:
    done = bench(CORPUS, "--limit", "40KB", "--workers", 1, "--to", tmp_path / "out", "--format", "json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    identical = {row["name"]: row["identical"] for row in report["contenders"]}
    assert identical.pop("rjieba") in {True, False}
    assert identical == dict.fromkeys(("loop", "small-dicts", "engine", "jieba-parallel", "pool", "hanmill"), True)
    assert all(row["seconds"] > 0 and row["peak_bytes"] > 0 for row in report["contenders"])
    assert report["answers"]
    assert json.loads((tmp_path / "out" / "bench.json").read_text(encoding="utf-8")) == report
    assert (tmp_path / "out" / "bench.png").stat().st_size > 1000


def test_wrong_numbers_and_empty_inputs_are_wrong_usage(tmp_path: Path) -> None:
    refused = bench(CORPUS, "--workers", "1,x")
    assert (refused.returncode, "--workers 1,x" in refused.stderr) == (2, True)
    (tmp_path / "empty.jsonl").write_text("", encoding="utf-8")
    empty = bench(tmp_path / "empty.jsonl")
    assert (empty.returncode, "hold no text" in empty.stderr) == (2, True)
    assert "Traceback" not in refused.stderr + empty.stderr
