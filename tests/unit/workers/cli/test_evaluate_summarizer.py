"""What `hanmill evaluate` says about a summarizer, in every format, and to wrong input."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from storage.errors import UsageError
from tasks.classify.operation import DEFAULT as CLASSIFIER
from tasks.summarize.operation import DEFAULT_TITLE
from workers.cli.evaluate import evaluate
from workers.cli.evaluate_summarizer import CLAIMS, MADE, SCORES
from workers.cli.options import OutputFormat

SYSTEMS = ["model", "lead", "textrank", "lead_same_length", "textrank_same_length", "oracle", "reference"]
TEXT = (
    "近年来研究很多。2024年本文提出了一种基于蚁群算法的水稻育种方法，在北京试验3,500次，结果表明该方法有效。天气晴朗。"
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "dev.jsonl"
    titles = ["基于蚁群算法的水稻育种方法", "2025年上海的水稻育种方法"]
    lines = [json.dumps({"text": TEXT + "。" * at, "title": title}) for at, title in enumerate(titles)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_json_has_all_systems_with_scores_and_measures(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate(DEFAULT_TITLE, data, output=OutputFormat.JSON)
    found = json.loads(capsys.readouterr().out)
    systems = {"model": found["system"], **found["baselines"], "oracle": found["oracle"]}
    assert [*systems, "reference"] == SYSTEMS
    for scores in systems.values():
        assert set(SCORES) <= set(scores)
        assert {*MADE, *CLAIMS} == set(scores["measures"])
    assert {*MADE, *CLAIMS} == set(found["reference"])
    assert found["reference"]["invented_numbers"] == found["reference"]["invented_dates"] == 1
    assert found["system"]["measures"]["invented_numbers"] == 0
    assert found["worst"] == []


def test_csv_has_a_line_for_each_system(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate(DEFAULT_TITLE, data, output=OutputFormat.CSV)
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["system"] for row in rows] == SYSTEMS
    assert {*SCORES, *MADE, *CLAIMS} <= set(rows[0])
    assert float(rows[0]["rouge_l"]) > float(rows[1]["rouge_l"])


def test_the_tables_say_what_they_show(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate(DEFAULT_TITLE, data, max_chars=20)
    printed = capsys.readouterr()
    assert "How they are made of their documents" in printed.out
    assert printed.out.count("textrank_same_length") == 3
    assert "the model invented no number, date or name" in printed.err


def test_to_be_faithful_is_refused_where_nothing_is_written(data: Path) -> None:
    with pytest.raises(UsageError, match="span takes its summaries from the text"):
        evaluate(DEFAULT_TITLE, data, faithful=True)
    with pytest.raises(UsageError, match="is a classifier"):
        evaluate(CLASSIFIER, data, faithful=True)
