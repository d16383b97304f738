"""A concordance has a line for every token that was counted, in every mode, of files and of enqueued documents."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from storage import corpus_texts
from storage.corpora import corpus_id_of
from storage.corpus_texts import CorpusText, Listener, corpus_size_bytes, read_texts
from storage.engine import reading
from storage.repeats import Places, repeated_places
from tests.support.inline_mill import InlineMill
from tests.support.mill_results import counts_of, open_mill, write_texts
from workers.concordance import Cutting, Search, TokenMatcher, cutting_of
from workers.producer import ingest

TEXTS = [
    "中国科学院的科学家和科学院，中国国，国的中国。",
    "小明硕士毕业于中国科学院计算所，后在日本京都大学深造。",
    "中国科学院的科学家和科学院，中国国，国的中国。",
    "Python 3.5 与 C++，\n\n人民 人民日报",
]
MODES = ("precise", "search", "full")


@pytest.fixture
def mill(home: Path, database_url: str) -> Iterator[InlineMill]:
    with open_mill(home, database_url) as made:
        yield made


def texts_of(mill: InlineMill, corpus: str, left_out: Places | None = None) -> list[CorpusText]:
    read_bytes: list[int] = []
    listener = Listener(read_bytes.append, pytest.fail, lambda *told: pytest.fail(str(told)))
    with reading(mill.parts.engine) as connection:
        corpus_id = corpus_id_of(connection, corpus)
        size_bytes = corpus_size_bytes(connection, corpus_id)
    texts = list(read_texts(mill.parts.engine, corpus_id, (), listener, left_out))
    assert sum(read_bytes) == size_bytes
    return texts


def places_left_out(mill: InlineMill, corpus: str, chosen: Cutting) -> Places:
    with reading(mill.parts.engine) as connection:
        return repeated_places(connection, corpus_id_of(connection, corpus), chosen.skips or "exact")


def cutting(mill: InlineMill, corpus: str) -> Cutting:
    with reading(mill.parts.engine) as connection:
        found = cutting_of(connection, corpus_id_of(connection, corpus))
    assert found is not None
    return found


def check_against_counts(mill: InlineMill, corpus: str, chosen: Cutting, left_out: Places | None = None) -> None:
    """Look for every word that was counted, and compare how often it was found and in how many documents."""
    texts = texts_of(mill, corpus, left_out)
    for word, counted in counts_of(mill, corpus).items():
        if not word:
            continue
        search = Search(TokenMatcher(word, chosen, mill.parts.workplace), width=5)
        lines = list(search.lines(texts))
        assert (len(lines), search.tally.texts) == counted, (chosen, word)
        assert {line.word for line in lines} == {word}


def test_every_counted_word_has_its_lines(mill: InlineMill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Several questions for the rows of one corpus, the last of which finds nothing more.
    monkeypatch.setattr(corpus_texts, "CHUNK", 2)
    for mode in MODES:
        options = {"mode": mode}
        mill.run([write_texts(tmp_path / f"{mode}.jsonl", TEXTS)], mode, "count", options=options)
        given = [{"key": f"文{number}", "text": text} for number, text in enumerate(TEXTS)]
        ingest(mill.parts, mill, mode, given, ["count"], options)
        mill.run([tmp_path / f"{mode}.jsonl"], mode, "count", options=options)
        assert [text.key for text in texts_of(mill, mode)][-4:] == ["文0", "文1", "文2", "文3"]
        check_against_counts(mill, mode, cutting(mill, mode))


def test_tokens_that_are_there_are_not_cut_again(
    mill: InlineMill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mill.run([write_texts(tmp_path / "a.jsonl", TEXTS)], "c", "count", "tokenize")
    chosen = cutting(mill, "c")
    assert chosen.tokens_fingerprint is not None
    matcher = TokenMatcher("科学家", chosen, mill.parts.workplace)
    monkeypatch.setattr(matcher, "_segmenter", None)
    assert len(list(Search(matcher, width=2).lines(texts_of(mill, "c")))) == 2
    check_against_counts(mill, "c", chosen)


def test_texts_without_the_word_are_not_cut(mill: InlineMill, tmp_path: Path) -> None:
    mill.run([write_texts(tmp_path / "a.jsonl", [*TEXTS, *["别的"] * 500, "科学家"])], "c", "count")
    search = Search(TokenMatcher("科学家", cutting(mill, "c"), mill.parts.workplace), width=2)
    assert len(list(search.lines(texts_of(mill, "c")))) == 3
    assert search.tally.looked_at == 3


def test_documents_that_were_not_counted_because_they_repeat_one_have_no_lines(
    mill: InlineMill, tmp_path: Path
) -> None:
    mill.run([write_texts(tmp_path / "a.jsonl", TEXTS)], "c", "dedup")
    ingest(mill.parts, mill, "c", [{"key": "again", "text": TEXTS[1]}], ["dedup"], {})
    mill.run([tmp_path / "a.jsonl"], "c", "dedup")
    mill.run([tmp_path / "a.jsonl"], "c", "count", options={"skip_duplicates": "exact"})
    chosen = cutting(mill, "c")
    assert chosen.skips == "exact"
    left_out = places_left_out(mill, "c", chosen)
    assert len(texts_of(mill, "c", left_out)) == len(set(TEXTS))
    check_against_counts(mill, "c", chosen, left_out)
