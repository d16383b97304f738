from __future__ import annotations

import csv
import gzip
import json
import math
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import jieba
import pyarrow.parquet as pq
import pytest

from storage.export_columns import COLUMNS
from tasks.text.token_filter import has_letter_digit_or_ideograph
from tests.support.mill_results import open_mill, write_texts
from tests.unit.workers.cli.conftest import Invoke
from workers import comparison

POEMS = ["床前明月光，疑是地上霜。举头望明月，低头思故乡。", "春眠不觉晓，处处闻啼鸟。", "明月几时有？把酒问青天。"]
NEWS = ["中国经济发展，明月卫星发射。", "经济新闻：发展，发展，再发展！", "𠀀字罕见。😀"]


@pytest.fixture(scope="module")
def compared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home with poems and news: `recut` is cut in two ways, `searched` in another, `empty` holds no word."""
    base = tmp_path_factory.mktemp("compared")
    with open_mill(base / "home", "") as mill:
        mill.run([write_texts(base / "poems.jsonl", POEMS)], "poems", "count")
        mill.run([write_texts(base / "news.jsonl", NEWS)], "news", "count")
        mill.run([base / "news.jsonl"], "recut", "count")
        mill.run([base / "news.jsonl"], "recut", "count", options={"mode": "search", "hmm": False})
        mill.run([base / "news.jsonl"], "searched", "count", options={"mode": "search"})
        mill.run([write_texts(base / "empty.jsonl", ["，。！"])], "empty", "count")
    return base / "home"


@pytest.fixture(autouse=True)
def mill_home(compared_home: Path, home: Path) -> None:
    shutil.copy(compared_home / "hanmill.db", home / "hanmill.db")


def counted(texts: list[str], *, everything: bool = False) -> Counter[str]:
    words = Counter(word for text in texts for word in jieba.lcut(text))
    return words if everything else Counter({w: n for w, n in words.items() if has_letter_digit_or_ideograph(w)})


def compared(invoke: Invoke, *arguments: object) -> dict[str, Any]:
    shown = invoke("compare", "poems", "news", "--format", "json", *arguments)
    assert shown.exit_code == 0, shown.stderr
    return dict(json.loads(shown.stdout))


@pytest.mark.parametrize("everything", [False, True])
def test_every_word_has_its_counts_and_figures(invoke: Invoke, everything: bool) -> None:
    found = compared(invoke, "-n", 1000, *(["--all"] if everything else []))
    poems, news = counted(POEMS, everything=everything), counted(NEWS, everything=everything)
    assert {row["word"]: (row["count_a"], row["count_b"]) for row in found["words"]} == {
        word: (poems[word], news[word]) for word in poems | news
    }
    sizes = poems.total(), news.total()
    assert (found["a"]["tokens"], found["b"]["tokens"]) == sizes
    for row in found["words"]:
        counts = row["count_a"], row["count_b"]
        share = sum(counts) / sum(sizes)
        expected = 2 * sum(n * math.log(n / (share * size)) for n, size in zip(counts, sizes, strict=True) if n)
        assert row["log_likelihood"] == pytest.approx(expected, abs=1e-9)
        assert row["bic"] == pytest.approx(expected - math.log(sum(sizes)), abs=1e-9)
        first, second = (max(n, 0.5) / size for n, size in zip(counts, sizes, strict=True))
        assert row["log_ratio"] == pytest.approx(math.log2(first / second))
        assert row["per_million_a"] == pytest.approx(1e6 * counts[0] / sizes[0])
    assert [row["log_likelihood"] for row in found["words"]] == sorted(
        (row["log_likelihood"] for row in found["words"]), reverse=True
    )


def test_what_both_have_in_common_is_counted_by_words_and_by_tokens(invoke: Invoke) -> None:
    found = compared(invoke, "-n", 1)
    poems, news = counted(POEMS), counted(NEWS)
    shared = poems.keys() & news.keys()
    assert shared == {"明月"}
    assert found["shared_words"] == len(shared)
    assert found["a"]["own_words"] == len(poems) - 1
    assert found["b"]["words"] == len(news)
    assert found["a"]["shared_share"] == pytest.approx(poems["明月"] / poems.total())
    assert found["jaccard"] == pytest.approx(1 / len(poems.keys() | news.keys()))
    assert 0.8 < found["divergence"] < 1.0


def test_a_corpus_does_not_differ_from_itself(invoke: Invoke) -> None:
    found = json.loads(invoke("compare", "poems", "poems", "--format", "json").stdout)
    assert found["divergence"] == pytest.approx(0.0)
    assert found["jaccard"] == 1.0
    assert {row["log_ratio"] for row in found["words"]} == {0.0}


@pytest.mark.parametrize(
    ("wanted", "of_poems", "of_news"),
    [("shared", True, True), ("only-a", True, False), ("only-b", False, True)],
)
def test_words_of_both_or_of_one_alone_can_be_chosen(
    wanted: str, of_poems: bool, of_news: bool, invoke: Invoke
) -> None:
    words = {row["word"] for row in compared(invoke, "-n", 1000, "--words", wanted)["words"]}
    poems, news = counted(POEMS), counted(NEWS)
    assert words == {word for word in poems | news if (word in poems, word in news) == (of_poems, of_news)}


def test_words_that_one_has_more_of_and_rare_ones_can_be_left_out(invoke: Invoke) -> None:
    more = compared(invoke, "-n", 1000, "--words", "more-b")["words"]
    assert more
    assert all(row["per_million_b"] > row["per_million_a"] for row in more)
    assert [row["word"] for row in compared(invoke, "--min-count", 4)["words"]] == ["发展"]
    in_documents = Counter(word for text in POEMS + NEWS for word in set(jieba.lcut(text)) if word.isalpha())
    several = {row["word"] for row in compared(invoke, "--min-documents", 2)["words"]}
    assert several == {word for word, documents in in_documents.items() if documents > 1}
    assert compared(invoke, "--min-bic", 1000)["words"] == []
    ordered = [row["word"] for row in compared(invoke, "--sort", "word", "-n", 1000)["words"]]
    assert ordered == sorted(ordered)
    assert ordered[-1] == "𠀀"


def test_files_hold_every_word_in_order_however_little_memory_there_is(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "sorted_rows", lambda rows, key: _sorted_rows(rows, key, 3))
    expected = compared(invoke, "-n", 1000)["words"]
    files = [tmp_path / name for name in ("c.csv", "c.jsonl.gz", "c.parquet")]
    for file in files:
        assert f"{len(expected)} words" in invoke("compare", "poems", "news", "--to", file).stderr
    with files[0].open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == list(COLUMNS["comparison"])
    assert [row["word"] for row in rows] == [row["word"] for row in expected]
    assert [float(row["log_ratio"]) for row in rows] == [row["log_ratio"] for row in expected]
    with gzip.open(files[1], "rt", encoding="utf-8") as stream:
        assert [json.loads(line) for line in stream] == expected
    assert pq.read_table(files[2]).to_pylist() == expected


def _sorted_rows(rows: Any, key: Any, run_rows: int) -> Any:
    from storage.sorted_runs import sorted_rows  # noqa: PLC0415 - the one that is not replaced

    return sorted_rows(rows, key, run_rows)


def test_counts_of_different_tokens_are_refused_and_the_way_out_named(invoke: Invoke) -> None:
    refused = invoke("compare", "poems", "recut")
    assert refused.exit_code == 2
    assert "poems and recut were not counted alike" in refused.stderr
    assert "--mode precise here and --mode search there, --hmm here and --no-hmm there" in refused.stderr
    # The older counts of the same options are named, and can be taken.
    fingerprint = refused.stderr.partition("--fingerprint ")[2].split()[0]
    assert invoke("compare", "poems", "recut", "--fingerprint", fingerprint).exit_code == 0
    forced = invoke("compare", "poems", "recut", "--force")
    assert forced.exit_code == 0
    assert "compared all the same" in forced.stderr
    assert "Count one of them again" in invoke("compare", "poems", "searched").stderr


def test_a_table_shows_both_sides_and_the_words(invoke: Invoke) -> None:
    shown = invoke("compare", "poems", "news", "-n", 3).stdout.splitlines()
    assert shown[0].split()[:3] == ["side", "corpus", "tokens"]
    assert [line.split()[1] for line in shown[1:3]] == ["poems", "news"]
    assert "Jensen-Shannon" in shown[3]
    assert shown[7].split()[0] == "word"
    assert len(shown) == 11


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("poems", "nothing"), "there is no corpus 'nothing'"),
        (("poems", "news", "--fingerprint", "ffff"), "has no word counts of fingerprint ffff"),
        (("poems", "news", "--to", "words.txt"), "a page with a plot ends in .html"),
        (("poems", "empty"), "the counts of corpus empty hold no word to compare"),
    ],
)
def test_what_cannot_be_compared_is_said(arguments: tuple[str, ...], sentence: str, invoke: Invoke) -> None:
    shown = invoke("compare", *arguments)
    assert shown.exit_code == 2
    assert sentence in shown.stderr
