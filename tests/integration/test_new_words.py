"""New words from texts to a dictionary: the same whatever the shards and partitions, on both databases."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Table, delete, update
from typer.testing import CliRunner, Result

from storage import jobs, new_words
from storage.engine import count_rows, reading, transact
from storage.new_word_tables import frequent_grams as gram_table
from storage.new_word_tables import new_words as word_table
from storage.planning import plan_job
from storage.schema import partial_counts
from storage.schema import word_counts as count_table
from storage.word_counts import current_generation
from tasks.discover.operation import OPERATION
from tasks.discover.partials import encode_partials
from tasks.discover.windows import WindowCounts
from tests.support.builders import at_once, shard_ids
from tests.support.inline_mill import InlineMill
from tests.support.mill_results import open_mill, view_of, write_texts
from tests.support.plain_lexicon import plain_grams
from workers.cli.main import app
from workers.cli.output_format import OutputFormat
from workers.cli.result import print_result
from workers.producer import Producer
from workers.run_shard import work_of
from workers.verification.job import verify_job

#: Names that no dictionary has, among ideographs that change.
NAMES = ("丁薛祥", "碳达峰", "𠮷野家")
AROUND = "山水田林湖草沙风云雷电江河海天地日月星辰春夏秋冬东西南北"
OPTIONS: dict[str, Any] = {"min_count": 5, "min_pmi": 1.0, "min_entropy": 1.0}


def texts() -> list[str]:
    """Return 60 texts, the same at every call, each with the names once and an ordinary phrase."""
    chosen = random.Random(7)
    made = []
    for number in range(60):
        clauses = ["".join(chosen.choices(AROUND, k=3)) + name + "".join(chosen.choices(AROUND, k=3)) for name in NAMES]
        made.append(f"{'，'.join(clauses)}。第{number}次会议的时候，记者从会议了解到")
    return made


TEXTS = texts()


@pytest.fixture
def mill(home: Path, database_url: str) -> Iterator[InlineMill]:
    with open_mill(home, database_url) as made:
        yield made


@pytest.fixture
def sqlite_mill(home: Path, sqlite_url: str) -> Iterator[InlineMill]:
    """Return a mill on SQLite, where nothing is asked that the two databases could answer differently."""
    with open_mill(home, sqlite_url) as made:
        yield made


def discovered(mill: InlineMill, path: Path, corpus: str = "c", **order: Any) -> int:
    (job_id,) = mill.run([path], corpus, "discover", options=OPTIONS, **order)
    return job_id


def words_of(mill: InlineMill, corpus_id: int = 1) -> list[new_words.NewWordRow]:
    with reading(mill.parts.engine) as connection:
        generation = current_generation(connection, corpus_id, operation="discover")
        assert generation is not None
        return list(new_words.by_score(connection, generation))


def rows_in(mill: InlineMill, table: Table) -> int:
    with reading(mill.parts.engine) as connection:
        return count_rows(connection, table)


def generation_of(mill: InlineMill, operation: str) -> int:
    with reading(mill.parts.engine) as connection:
        generation = current_generation(connection, 1, operation=operation)
    assert generation is not None
    return generation


def test_names_are_found_with_the_figures_of_plain_loops(mill: InlineMill, tmp_path: Path) -> None:
    job_id = discovered(mill, write_texts(tmp_path / "texts.jsonl", TEXTS))
    view = view_of(mill, job_id)
    assert (view["state"], view["reason"], view["documents"], view["results"]) == ("DONE", None, 60, 60)
    found = words_of(mill)
    assert {row[0] for row in found[:3]} == set(NAMES)
    right = plain_grams(TEXTS, 4)
    for word, *figures, _ in found:
        plain = right[word]
        expected = [plain.count, plain.pmi, plain.left_entropy, plain.right_entropy]
        assert figures == pytest.approx(expected, abs=2e-6)
    assert not any(row[0].startswith("的") or row[0] == "会议" for row in found)


def test_words_are_the_same_however_the_texts_are_cut_and_parted(home: Path, sqlite_url: str, tmp_path: Path) -> None:
    whole = write_texts(tmp_path / "whole.jsonl", TEXTS)
    directory = tmp_path / "parts"
    directory.mkdir()
    for number, text in enumerate(reversed(TEXTS)):
        write_texts(directory / f"{number}.jsonl", [text])
    # A partition for every few words.
    with open_mill(home, sqlite_url, merge_words=200) as mill:
        discovered(mill, whole, "whole")
        discovered(mill, directory, "parts", shard_bytes=1500)
        in_partitions = words_of(mill, 1)
        assert words_of(mill, 2) == in_partitions
        assert rows_in(mill, gram_table) == 0
    with open_mill(home / "other", f"sqlite:///{tmp_path / 'other.db'}") as mill:
        discovered(mill, whole)
        assert words_of(mill) == in_partitions


def test_a_large_shard_is_counted_in_runs(
    sqlite_mill: InlineMill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_texts(tmp_path / "texts.jsonl", TEXTS)
    discovered(sqlite_mill, path)
    right = words_of(sqlite_mill)
    monkeypatch.setattr("tasks.discover.windows.PENDING_WINDOWS", 1)
    monkeypatch.setattr("tasks.discover.operation.RUN_WINDOWS", 1)
    monkeypatch.setattr("storage.shard_input.BATCH_DOCUMENTS", 7)
    # Of other content, which nobody has counted yet.
    job_id = discovered(sqlite_mill, write_texts(tmp_path / "again.jsonl", TEXTS[::-1]), "again")
    assert words_of(sqlite_mill, 2) == right
    assert verify_job(sqlite_mill.parts, job_id, None, 1).differences == []


def test_partitions_that_end_together_still_choose_the_words(home: Path, database_url: str, tmp_path: Path) -> None:
    with open_mill(home, database_url, merge_words=200) as mill:
        path = write_texts(tmp_path / "texts.jsonl", TEXTS)
        job_id = discovered(mill, path)
        right = words_of(mill)
        engine = mill.parts.engine
        generation = generation_of(mill, "discover")
        with reading(engine) as connection:
            work = work_of(jobs.get(connection, job_id))
        assert work.partitions > 2
        # As if every one of them had been summed before any was written: none found the others there.
        saves = [
            OPERATION.merge(replace(work, partition=number), generation, mill.parts.workplace)
            for number in range(work.partitions)
        ]
        transact(engine, lambda connection: connection.execute(delete(word_table)))
        at_once([partial(transact, engine, save) for save in saves])
        assert words_of(mill) == right
        assert rows_in(mill, gram_table) == 0


def test_a_corpus_that_grew_counts_what_is_new_and_chooses_again(mill: InlineMill, tmp_path: Path) -> None:
    first = write_texts(tmp_path / "first.jsonl", TEXTS[:40])
    discovered(mill, first)
    before = {word: count for word, count, *_ in words_of(mill)}
    second = write_texts(tmp_path / "second.jsonl", TEXTS[40:])
    later = discovered(mill, second)
    after = {word: count for word, count, *_ in words_of(mill)}
    assert ([before[name] for name in NAMES], [after[name] for name in NAMES]) == ([40] * 3, [60] * 3)
    assert view_of(mill, later)["reused"] == 1


def test_counts_and_new_words_of_a_corpus_are_apart(mill: InlineMill, tmp_path: Path) -> None:
    path = write_texts(tmp_path / "texts.jsonl", TEXTS)
    (count_id,) = mill.run([path], "c", "count")
    discovered(mill, path)
    with reading(mill.parts.engine) as connection:
        assert generation_of(mill, "count") == jobs.get(connection, count_id).generation_id
    assert generation_of(mill, "discover") != generation_of(mill, "count")
    assert rows_in(mill, count_table) > 0


def test_documents_from_a_producer_have_new_words_too(
    home: Path, sqlite_url: str, redis_url: str, tmp_path: Path
) -> None:
    with open_mill(home, sqlite_url) as mill:
        settings = mill.parts.settings.model_copy(update={"broker_url": redis_url})
        given = [{"key": f"n{number}", "text": text} for number, text in enumerate(TEXTS)]
        with Producer(settings) as producer:
            (job_id,) = producer.enqueue(given, corpus="c", operations=["discover"], options=OPTIONS)
        plan_job(mill.parts.engine, job_id)
        # The producer's own messages stand in Redis, where nobody takes them.
        mill.publish_shards("", shard_ids(mill.parts.engine, job_id), job_id)
        mill.work(job_id)
        found = words_of(mill)
        path = write_texts(tmp_path / "texts.jsonl", TEXTS)
        discovered(mill, path, "files")
        assert words_of(mill, 2) == found


def test_the_words_of_the_users_dictionary_are_known(sqlite_mill: InlineMill, tmp_path: Path) -> None:
    path = write_texts(tmp_path / "texts.jsonl", TEXTS)
    (tmp_path / "known.txt").write_text("碳达峰 3\n", encoding="utf-8")
    sqlite_mill.run([path], "c", "discover", options={**OPTIONS, "user_dict": str(tmp_path / "known.txt")})
    found = {row[0] for row in words_of(sqlite_mill)}
    assert (found & set(NAMES)) == {"丁薛祥", "𠮷野家"}


# --- what is altered is found


def more_of_a_word(connection: Connection) -> None:
    changed = update(word_table).where(word_table.c.word == "碳达峰").values(count=word_table.c.count + 1)
    assert connection.execute(changed).rowcount == 1


def a_higher_entropy(connection: Connection) -> None:
    changed = update(word_table).where(word_table.c.word == "碳达峰").values(left_entropy=9.0)
    assert connection.execute(changed).rowcount == 1


def a_word_less(connection: Connection) -> None:
    assert connection.execute(delete(word_table).where(word_table.c.word == "碳达峰")).rowcount == 1


def other_windows(connection: Connection) -> None:
    counts = WindowCounts(4)
    counts.add(["碳达峰"])
    connection.execute(update(partial_counts).values(data=encode_partials(counts.summed(), 4, 1)[0]))


def broken_windows(connection: Connection) -> None:
    connection.execute(update(partial_counts).values(data=b"nothing"))


def no_windows(connection: Connection) -> None:
    connection.execute(delete(partial_counts))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (more_of_a_word, "counts"),
        (a_higher_entropy, "left_entropy"),
        (a_word_less, "new words"),
        (other_windows, "windows"),
        (broken_windows, "partial counts"),
        (no_windows, "partial counts"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_verify_finds_what_was_altered(
    sqlite_mill: InlineMill, tmp_path: Path, change: Callable[[Connection], None], what: str
) -> None:
    job_id = discovered(sqlite_mill, write_texts(tmp_path / "texts.jsonl", TEXTS[:20]), shard_bytes=1500)
    right = verify_job(sqlite_mill.parts, job_id, None, 1)
    assert (right.found, right.left_out) == (0, [])
    assert right.compared["windows"] > 0
    transact(sqlite_mill.parts.engine, partial(change))
    wrong = verify_job(sqlite_mill.parts, job_id, None, 1)
    assert what in {difference.what for difference in wrong.differences}


# --- as a user does it


def hanmill(*arguments: object) -> Result:
    """Run a command in this process, over the home of the test."""
    return CliRunner().invoke(app, [*map(str, arguments)])


def test_the_dictionary_of_new_words_loads_into_the_next_count(home: Path, tmp_path: Path) -> None:
    path = write_texts(tmp_path / "texts.jsonl", TEXTS)
    names = tmp_path / "names.txt"
    with open_mill(home, "") as mill:
        discovered(mill, path)
        shown = hanmill("new-words", "c", "-n", 3, "--format", "json")
        assert {row["word"] for row in json.loads(shown.stdout)} == set(NAMES)
        assert hanmill("export", "c", "--what", "new-words", "--to", names).exit_code == 0
        assert {f"{name} 60" for name in NAMES} <= set(names.read_text(encoding="utf-8").splitlines())
        mill.run([path], "c", "count", options={"user_dict": str(names), "hmm": False})
        words = json.loads(hanmill("top", "c", "-n", 1000, "--format", "json").stdout)
    counts = {row["word"]: row["count"] for row in words}
    # jieba cuts no ideograph of a rare plane together with another one, whatever the dictionary says.
    assert [counts.get(name) for name in NAMES] == [60, 60, None]


def test_the_best_words_are_printed_when_the_job_is_done(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_mill(home, "") as mill:
        job_id = discovered(mill, write_texts(tmp_path / "texts.jsonl", TEXTS))
        none_id = discovered(mill, write_texts(tmp_path / "none.jsonl", ["abc"]), "empty")
        assert print_result(mill.parts.engine, [job_id, none_id], OutputFormat.TABLE) == 0
    printed = capsys.readouterr()
    assert "the best of" in printed.out
    assert "碳达峰" in printed.out
    assert "hanmill export c --what new-words --to FILE.txt" in printed.err
    assert "empty has no word that the dictionary has not" in printed.err


def test_what_is_not_there_is_said(home: Path, tmp_path: Path) -> None:
    with open_mill(home, "") as mill:
        mill.run([write_texts(tmp_path / "texts.jsonl", TEXTS[:1])], "c", "count")
    for line, message in (
        ("new-words c", "corpus c has no new words yet; make them with --do discover"),
        ("new-words d", "there is no corpus 'd'"),
        ("export c --what new-words --to a.xml", "new-words in .txt too, as a list for --user-dict"),
        ("export c --what counts --to a.txt", "an export ends in .csv, .jsonl or .parquet"),
        ("run a.txt --corpus c --do discover --max-length 9", "--max-length"),
    ):
        done = hanmill(*line.split())
        assert (done.exit_code, message in done.stderr) == (2, True), done.stderr
