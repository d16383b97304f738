from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from tests.support.mill_results import open_mill, write_texts
from tests.unit.workers.cli.conftest import Invoke

TEXTS = [
    "床前月光，疑是地上霜。\n举头：明月，低头思故乡。",
    "明月几时有？把酒问青天。Python 3 里也有明月。",
    "中国科学院的科学家和科学院",
    "没有别的",
    "转义\x1b[2J清屏\x9b31m，\x07铃声",
]


@pytest.fixture(scope="module")
def searched_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home whose corpus `c` is counted, `stopped` without a word, and `twice` without what repeats a text."""
    base = tmp_path_factory.mktemp("searched")
    stopwords = base / "stopwords.txt"
    stopwords.write_text("明月\n", encoding="utf-8")
    with open_mill(base / "home", "") as mill:
        source = write_texts(base / "texts.jsonl", TEXTS)
        mill.run([source], "c", "count")
        twice = write_texts(base / "twice.jsonl", [TEXTS[1], TEXTS[1]])
        mill.run([twice], "twice", "dedup")
        mill.run([twice], "twice", "count", options={"skip_duplicates": "exact"})
        mill.run([source], "stopped", "count", options={"stopwords": str(stopwords)})
    return base


@pytest.fixture
def source(searched_home: Path, home: Path) -> Path:
    """Put the corpora into the home of the test; return their file."""
    shutil.copy(searched_home / "home" / "hanmill.db", home / "hanmill.db")
    return searched_home / "texts.jsonl"


def found(invoke: Invoke, *arguments: object) -> list[dict[str, Any]]:
    shown = invoke("concordance", "c", *arguments, "--format", "json")
    assert shown.exit_code == 0, shown.stderr
    return list(json.loads(shown.stdout))


def test_a_line_says_where_a_word_stands_and_what_is_around_it(source: Path, invoke: Invoke) -> None:
    rows = found(invoke, "明月", "--width", 3)
    assert rows[0] == {"key": f"{source}@0", "position": 15, "left": "举头：", "word": "明月", "right": "，低头"}
    assert [row["left"] for row in rows] == ["举头：", "", "里也有"]
    for row, text in zip(rows, [TEXTS[0], TEXTS[1], TEXTS[1]], strict=True):
        assert text.startswith(row["word"] + row["right"], row["position"])


def test_a_word_is_a_token_and_a_string_is_not(source: Path, invoke: Invoke) -> None:
    assert len(found(invoke, "科学")) == 0
    assert [row["position"] for row in found(invoke, "科学", "--string")] == [2, 6, 10]
    assert [row["word"] for row in found(invoke, "科学[院家]|x*", "--regex")] == ["科学院", "科学家", "科学院"]
    said = invoke("concordance", "c", "科学").stderr
    assert "科学 is nowhere a token of its own; 1 texts hold its characters" in said
    assert "0 places in 0 texts" in invoke("concordance", "c", "没这个词").stderr


def test_lines_stand_below_each_other_whatever_is_in_them(source: Path, invoke: Invoke) -> None:
    shown = invoke("concordance", "c", "明月", "--width", 8)
    lines = shown.stdout.splitlines()
    assert {cell_len(line.partition("  明月")[0]) for line in lines} == {16}
    assert len({cell_len(line.rpartition("  ")[0]) for line in lines}) == 1
    # A line end is shown as a blank, and moves no cursor.
    assert "地上霜。 举头：  明月  ，低头思故乡。" in lines[0]
    assert lines[0].endswith(f"{source}@0")
    assert shown.stderr == "3 places in 2 texts\n"


def test_lines_can_be_sorted_by_what_stands_next_to_the_word(source: Path, invoke: Invoke) -> None:
    by_right = [row["right"] for row in found(invoke, "明月", "--sort", "right")]
    assert by_right == sorted(by_right)
    by_left = [row["left"][::-1] for row in found(invoke, "明月", "--sort", "left")]
    assert by_left == sorted(by_left)
    assert found(invoke, "明月", "--sort", "right", "-n", 1)[0]["right"] == by_right[0]


def test_a_seed_draws_the_same_lines_again_and_all_have_their_chance(source: Path, invoke: Invoke) -> None:
    everything = found(invoke, "明月")
    drawn = [found(invoke, "明月", "--sort", "random", "-n", 1, "--seed", seed) for seed in range(6)]
    assert drawn[3] == found(invoke, "明月", "--sort", "random", "-n", 1, "--seed", 3)
    assert {row["position"] for (row,) in drawn} == {row["position"] for row in everything}
    assert found(invoke, "明月", "--sort", "random") == everything


@pytest.mark.parametrize("form", ["table", "json"])
def test_nothing_of_a_text_reaches_a_terminal_raw(form: str, source: Path, invoke: Invoke) -> None:
    said = invoke("concordance", "c", "清屏", "--string", "--format", form).output
    assert "清屏" in said
    assert not set(said) & set("\x1b\x07\x9b")


def test_only_so_many_are_shown_as_are_asked_for(source: Path, invoke: Invoke) -> None:
    shown = invoke("concordance", "c", "明月", "-n", 2, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(shown.stdout)))
    assert [int(row["position"]) for row in rows] == [15, 0]
    assert "the first 2 places" in shown.stderr


def test_words_that_the_counts_leave_out_are_found_and_that_is_said(source: Path, invoke: Invoke) -> None:
    shown = invoke("concordance", "stopped", "明月")
    assert len(shown.stdout.splitlines()) == 3
    assert "明月 is left out of counts and tokens here, by stop words" in shown.stderr


def test_texts_that_were_not_counted_because_they_repeat_one_are_left_out(source: Path, invoke: Invoke) -> None:
    shown = invoke("concordance", "twice", "明月")
    assert len(shown.stdout.splitlines()) == 2
    assert "documents that repeat another one are left out, as in the counts" in shown.stderr
    assert len(invoke("concordance", "twice", "明月", "--string").stdout.splitlines()) == 4


def test_sources_that_changed_or_are_gone_are_said(searched_home: Path, source: Path, invoke: Invoke) -> None:
    kept = searched_home / "kept"
    shutil.copy2(source, kept)
    try:
        source.write_text(json.dumps({"text": "今人不见古时月，明月"}) + "\n", encoding="utf-8")
        changed = invoke("concordance", "c", "明月")
        assert "今人不见古时月，  明月" in changed.stdout
        assert (
            f"1 source changed since the corpus was last run; shown is what stands there now: {source}"
            in changed.stderr
        )
        source.unlink()
        gone = invoke("concordance", "c", "明月")
        assert (gone.exit_code, gone.stdout) == (0, "")
        assert "1 source could not be read" in gone.stderr
    finally:
        shutil.copy2(kept, source)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("nothing", "词"), "there is no corpus 'nothing'"),
        (("c", ""), "the word to look for is empty"),
        (("c", "(", "--regex"), "'(' is no regular expression"),
        (("c", "词", "--regex", "--string"), "leave one of them out"),
        (("c", "词", "--fingerprint", "ffff"), "has no tokens and no counts of fingerprint ffff"),
        (("c", "词", "--string", "--fingerprint", "ffff"), "--string and --regex look at no words"),
    ],
)
def test_what_cannot_be_looked_for_is_said(
    arguments: tuple[str, ...], sentence: str, source: Path, invoke: Invoke
) -> None:
    shown = invoke("concordance", *arguments)
    assert shown.exit_code == 2
    assert sentence in shown.stderr
