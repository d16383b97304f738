"""Scores and labels on both databases: all scores in one row, decided labels in rows, thresholds without a model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Engine

from storage import engine as engine_module
from storage import label_scores, models
from storage.documents import NewDocument, enqueue, text_sha256
from storage.engine import count_rows, reading
from storage.label_scores import ScoredDocument, pack, probability
from storage.label_sets import Label, label_ids, register
from storage.models import NewModel
from storage.schema import document_labels
from storage.schema import label_scores as score_rows
from tests.support.builders import FINGERPRINT, at_once, call, make_corpus

MODEL = "c" * 64
SCALE = 2.0
LABELS = [Label("经济"), Label("体育"), Label("科技")]


@pytest.fixture
def corpus_id(engine: Engine) -> int:
    return make_corpus(engine)


@pytest.fixture
def label_set_id(engine: Engine) -> int:
    return call(engine, register, "新闻", "1", LABELS)


def save(engine: Engine, label_set_id: int, scored: dict[str, Sequence[float]], fingerprint: str = FINGERPRINT) -> None:
    """Store scores as the operation does: decided is what is above 0."""
    ids = call(engine, label_ids, label_set_id)
    rows = {
        text_sha256(text): ScoredDocument(
            pack(scores),
            [(ids[place], probability(score, SCALE)) for place, score in enumerate(scores) if score > 0],
        )
        for text, scores in scored.items()
    }
    call(engine, label_scores.save, fingerprint, MODEL, label_set_id, rows, scale=SCALE)


def exported(engine: Engine, corpus_id: int, threshold: float | None = None) -> list[dict[str, Any]]:
    with reading(engine) as connection:
        if threshold is None:
            return list(label_scores.decided_rows(connection, corpus_id, FINGERPRINT))
        return list(label_scores.scored_rows(connection, corpus_id, FINGERPRINT, threshold))


def names(rows: list[dict[str, Any]]) -> dict[str, list[str]]:
    return {row["key"]: [label["label"] for label in row["labels"]] for row in rows}


def test_a_text_has_one_row_of_scores_and_a_row_for_each_decided_label(engine: Engine, label_set_id: int) -> None:
    for _ in range(2):
        save(engine, label_set_id, {"甲": [1.5, -2, 3], "乙": [-1, -1, -1]})
    assert (call(engine, count_rows, score_rows), call(engine, count_rows, document_labels)) == (2, 2)
    found = call(engine, label_scores.find, text_sha256("甲"), FINGERPRINT)
    assert found is not None
    assert found["model"] == MODEL
    assert found["labels"] == [{"label": "科技", "score": 0.997527}, {"label": "经济", "score": 0.952574}]
    assert call(engine, label_scores.find, text_sha256("乙"), FINGERPRINT) == {"model": MODEL, "labels": []}
    assert call(engine, label_scores.find, text_sha256("丙"), FINGERPRINT) is None


def test_a_model_that_has_scored_says_what_its_labels_are_and_does_not_forget(
    engine: Engine, label_set_id: int
) -> None:
    added = NewModel(MODEL, "新闻", "1", "classifier", "text_cnn", "/models/news")
    call(engine, models.register, added)
    save(engine, label_set_id, {"甲": [1, 1, 1]})
    call(engine, models.register, added)
    found = call(engine, models.find_by_digest, MODEL)
    assert found is not None
    assert found.label_set_id == label_set_id


def test_known_texts_are_those_with_scores_under_the_fingerprint(engine: Engine, label_set_id: int) -> None:
    save(engine, label_set_id, {"甲": [1, 1, 1], "乙": [-1, -1, -1]})
    digests = [text_sha256(text) for text in "甲乙丙"]
    assert call(engine, label_scores.known, FINGERPRINT, digests) == set(digests[:2])
    assert call(engine, label_scores.known, "e" * 32, digests) == set()


def test_decided_labels_are_exported_by_key_the_likeliest_first(
    engine: Engine, corpus_id: int, label_set_id: int
) -> None:
    given = [NewDocument("b", "甲"), NewDocument("B", "乙"), NewDocument("无", "丙"), NewDocument("二", "甲")]
    call(engine, enqueue, corpus_id, given, 1000)
    save(engine, label_set_id, {"甲": [1.5, -2, 3], "乙": [-1, -1, -1], "别的": [1, 1, 1]})
    rows = exported(engine, corpus_id)
    assert names(rows) == {"B": [], "b": ["科技", "经济"], "二": ["科技", "经济"]}
    assert [row["key"] for row in rows] == ["B", "b", "二"]
    assert rows[1]["labels"][0] == {"label": "科技", "score": 0.997527}


def test_a_threshold_decides_anew_from_the_packed_scores(engine: Engine, corpus_id: int, label_set_id: int) -> None:
    call(engine, enqueue, corpus_id, [NewDocument("a", "甲"), NewDocument("b", "乙")], 1000)
    save(engine, label_set_id, {"甲": [1.5, -0.3, 3], "乙": [-1, -1, -1]})
    assert names(exported(engine, corpus_id, 0.5)) == names(exported(engine, corpus_id))
    assert names(exported(engine, corpus_id, 0.96)) == {"a": ["科技"], "b": []}
    assert names(exported(engine, corpus_id, 0.3)) == {"a": ["科技", "经济", "体育"], "b": []}
    # Equal scores keep the order of the labels.
    assert names(exported(engine, corpus_id, 0.0)) == {"a": ["科技", "经济", "体育"], "b": ["经济", "体育", "科技"]}


def test_scores_are_read_by_the_labels_that_they_were_made_with(
    engine: Engine, corpus_id: int, label_set_id: int
) -> None:
    call(engine, enqueue, corpus_id, [NewDocument("a", "甲"), NewDocument("b", "乙")], 1000)
    save(engine, label_set_id, {"甲": [1, -1, -1]})
    save(engine, call(engine, register, "新闻", "2", [Label("财经"), Label("体育")]), {"乙": [1, -1]})
    assert names(exported(engine, corpus_id)) == {"a": ["经济"], "b": ["财经"]}
    assert names(exported(engine, corpus_id, 0.5)) == {"a": ["经济"], "b": ["财经"]}


def test_the_model_of_a_corpus_s_labels_is_known_by_their_fingerprint(
    engine: Engine, corpus_id: int, label_set_id: int
) -> None:
    call(engine, enqueue, corpus_id, [NewDocument("a", "甲")], 1000)
    save(engine, label_set_id, {"甲": [1, -1, -1]})
    assert call(engine, label_scores.model_of, corpus_id, FINGERPRINT) == MODEL
    assert call(engine, label_scores.model_of, corpus_id, "e" * 32) is None


def test_workers_that_write_the_same_texts_at_once_do_not_wait_in_a_circle(
    engine: Engine, label_set_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    circles: list[object] = []
    is_retryable = engine_module.is_retryable

    def noting(error: Any) -> bool:
        circles.append(error)
        return is_retryable(error)

    monkeypatch.setattr(engine_module, "is_retryable", noting)
    ids = call(engine, label_ids, label_set_id)
    for number in range(3):
        digests = [bytes([number]) + place.to_bytes(31) for place in range(2000)]
        forwards = {
            digest: ScoredDocument(pack([1, 1, 1]), [(label_id, 0.9) for label_id in ids]) for digest in digests
        }
        backwards = {
            digest: ScoredDocument(scored.scores, scored.decided[::-1]) for digest, scored in reversed(forwards.items())
        }
        write = partial(call, engine, label_scores.save, FINGERPRINT, MODEL, label_set_id, scale=SCALE)
        at_once([partial(write, forwards), partial(write, backwards)])
    assert circles == []
    assert call(engine, count_rows, document_labels) == 3 * 2000 * 3
