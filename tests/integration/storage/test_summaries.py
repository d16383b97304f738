"""Summaries on both databases: keyed by text and fingerprint, shown for the document of each key."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from storage import summaries
from storage.documents import NewDocument, enqueue, text_sha256
from storage.engine import count_rows, reading
from storage.schema import summaries as summary_rows
from tests.support.builders import FINGERPRINT, call, make_corpus

MODEL = "a" * 64
POEM = "床前明月光，疑是地上霜。举头望明月，低头思故乡。"
DIGEST = text_sha256(POEM)


@pytest.fixture
def corpus_id(engine: Engine) -> int:
    return make_corpus(engine)


def save(engine: Engine, made: dict[str, tuple[str, list[tuple[int, int]]]], fingerprint: str = FINGERPRINT) -> None:
    by_digest = {text_sha256(text): summary for text, summary in made.items()}
    call(engine, summaries.save, fingerprint, MODEL, by_digest)


def test_a_summary_comes_back_with_its_model_and_its_places(engine: Engine) -> None:
    save(engine, {POEM: (POEM[:5] + POEM[12:17], [(0, 5), (12, 17)])})
    found = call(engine, summaries.find, DIGEST, FINGERPRINT)
    assert found is not None
    assert found == {"summary": "床前明月光举头望明月", "model": MODEL, "spans": [[0, 5], [12, 17]]}
    assert "".join(POEM[start:end] for start, end in found["spans"]) == found["summary"]
    assert call(engine, summaries.find, DIGEST, "e" * 32) is None
    assert call(engine, summaries.find, text_sha256("别的"), FINGERPRINT) is None


def test_what_was_written_first_stays(engine: Engine) -> None:
    save(engine, {POEM: ("明月", [(2, 4)])})
    save(engine, {POEM: ("故乡", [(21, 23)]), "春眠": ("春眠", [])})
    first = call(engine, summaries.find, DIGEST, FINGERPRINT)
    assert first is not None
    assert first["summary"] == "明月"
    assert call(engine, count_rows, summary_rows) == 2


def test_known_texts_are_those_of_the_fingerprint_however_many_are_asked_for(engine: Engine) -> None:
    texts = [f"第{number}篇" for number in range(1100)]
    save(engine, {text: (text, [(0, len(text))]) for text in texts})
    digests = [text_sha256(text) for text in texts]
    assert call(engine, summaries.known, FINGERPRINT, [*digests, text_sha256("未知")]) == set(digests)
    assert call(engine, summaries.known, "e" * 32, digests) == set()


def test_summaries_are_exported_by_key_for_the_documents_of_the_corpus(engine: Engine, corpus_id: int) -> None:
    call(engine, enqueue, corpus_id, [NewDocument("b", POEM), NewDocument("B", "春眠"), NewDocument("中", "无")], 1000)
    call(engine, enqueue, make_corpus(engine, "别的"), [NewDocument("c", "别的")], 1000)
    save(engine, {POEM: ("明月", [(2, 4)]), "春眠": ("眠", []), "别的": ("别", [(0, 1)])})
    with reading(engine) as connection:
        rows = list(summaries.export_rows(connection, corpus_id, FINGERPRINT))
        assert list(summaries.export_rows(connection, corpus_id, "e" * 32)) == []
    assert rows == [
        {"key": "B", "summary": "眠", "model": MODEL, "spans": []},
        {"key": "b", "summary": "明月", "model": MODEL, "spans": [[2, 4]]},
    ]


def test_the_model_of_a_corpus_s_results_is_known_by_their_fingerprint(engine: Engine, corpus_id: int) -> None:
    call(engine, enqueue, corpus_id, [NewDocument("a", "无"), NewDocument("b", POEM)], 1000)
    save(engine, {POEM: ("明月", [(2, 4)])})
    assert call(engine, summaries.model_of, corpus_id, FINGERPRINT) == MODEL
    assert call(engine, summaries.model_of, corpus_id, "e" * 32) is None
    assert call(engine, summaries.model_of, make_corpus(engine, "别的"), FINGERPRINT) is None
