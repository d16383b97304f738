"""`hanmill run --date-field` as a user starts it, in all formats that have fields; and a schedule that keeps it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow.parquet import write_table

from storage import corpus_figures
from storage.corpora import corpus_id_of
from storage.corpus_figures import MonthFigures
from storage.engine import open_engine, reading
from storage.schedules import get
from storage.sources import ListingOptions
from storage.word_counts import current_generation
from tests.support.inline_mill import InlineMill
from tests.support.reference import serial_counts
from workers.schedule_order import Timing, add_schedule
from workers.schedule_start import listing_options
from workers.submit import Order

TEXTS = ["明月几时有，把酒问青天。", "不知天上宫阙，今夕是何年。", "我欲乘风归去。"]


def write_inputs(directory: Path) -> None:
    """Write a file of each format, one text a file, of July and August and without a date."""
    lines = [{"text": TEXTS[0], "day": "2024-07-08T08:00:00+08:00"}, {"text": TEXTS[2]}]
    (directory / "a.jsonl").write_text("\n".join(json.dumps(line, ensure_ascii=False) for line in lines), "utf-8")
    (directory / "b.csv").write_text(f"day,text\n2024年8月1日,{TEXTS[1]}\n没有,{TEXTS[2]}\n", encoding="utf-8")
    instants = pa.array([1722470400], pa.timestamp("s"))
    write_table(pa.table({"text": [TEXTS[1]], "day": instants}), directory / "c.parquet")


def test_a_run_counts_by_month(home: Path, tmp_path: Path) -> None:
    write_inputs(tmp_path)
    command = [sys.executable, "-m", "workers.cli.main", "run", tmp_path, "--corpus", "poems", "--date-field", "day"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, timeout=240)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    with reading(open_engine(f"sqlite:///{home / 'hanmill.db'}")) as connection:
        generation = current_generation(connection, corpus_id_of(connection, "poems"))
        assert generation is not None
        months = corpus_figures.by_month(connection, generation)
        words = corpus_figures.words_by_month(connection, generation, ["明月", "，"])
    of_month = {0: [TEXTS[2], TEXTS[2]], 202407: [TEXTS[0]], 202408: [TEXTS[1], TEXTS[1]]}
    assert months == [
        MonthFigures(month, len(texts), sum(count for count, _ in serial_counts(texts).values()), sum(map(len, texts)))
        for month, texts in of_month.items()
    ]
    assert words == {"明月": {202407: 1}, "，": {202407: 1, 202408: 2}}


@pytest.mark.parametrize("field", ["day", None])
def test_a_schedule_keeps_the_field(field: str | None, home: Path, tmp_path: Path) -> None:
    write_inputs(tmp_path)
    mill = InlineMill(home)
    order = Order("poems", [str(tmp_path)], ["count"], {}, ListingOptions(date_field=field))
    add_schedule(mill.parts, order, Timing("nightly", "0 1 * * *", "Asia/Shanghai"))
    with reading(mill.parts.engine) as connection:
        stored = json.loads(get(connection, "nightly").listing)
    # Workers of a version without dates know no such field.
    assert ("date_field" in stored) is (field is not None)
    assert listing_options(stored, mill.parts.settings).date_field == field
