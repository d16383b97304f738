"""What `compare` says of two corpora on both databases: the formulas over counts that were made by hand."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

import jieba
import pytest
from typer.testing import CliRunner

from tests.support.mill_results import open_mill, write_texts
from workers.cli.main import app

POEMS = ["床前明月光，疑是地上霜。举头望明月，低头思故乡。", "春眠不觉晓，处处闻啼鸟。", "明月几时有？把酒问青天。"]
NEWS = ["中国经济发展，明月卫星发射。", "经济新闻：发展，发展，再发展！", "𠀀字罕见。😀"]


def test_words_have_the_counts_of_both_corpora_and_come_in_one_order(
    home: Path, database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HANMILL_DATABASE_URL", database_url)
    with open_mill(home, database_url) as mill:
        mill.run([write_texts(tmp_path / "poems.jsonl", POEMS)], "poems", "count")
        mill.run([write_texts(tmp_path / "news.jsonl", NEWS)], "news", "count")
    arguments = ["compare", "poems", "news", "--all", "--format", "json", "--sort", "word", "-n", "1000"]
    found = json.loads(CliRunner().invoke(app, arguments, catch_exceptions=False).stdout)
    poems, news = (Counter(word for text in texts for word in jieba.lcut(text)) for texts in (POEMS, NEWS))
    expected = [(word, poems[word], news[word]) for word in sorted(poems | news)]
    assert [(row["word"], row["count_a"], row["count_b"]) for row in found["words"]] == expected
    sizes = poems.total(), news.total()
    for row in found["words"]:
        share = (row["count_a"] + row["count_b"]) / sum(sizes)
        pairs = zip((row["count_a"], row["count_b"]), sizes, strict=True)
        surprise = 2 * sum(count * math.log(count / (share * size)) for count, size in pairs if count)
        assert row["log_likelihood"] == pytest.approx(surprise, abs=1e-9)
