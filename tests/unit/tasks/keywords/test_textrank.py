"""TextRank against `jieba.analyse.textrank`: the same words in the same order with the very same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tasks.keywords.candidates import Candidates
from tasks.keywords.pos_tagger import PosTagger, open_tagger
from tasks.keywords.textrank import TAGS, TextRankExtractor, rank_words
from tasks.text.token_filter import TokenFilter
from tests.support.jieba_analyse import jieba_extractor
from tests.unit.tasks.keywords.test_tfidf import ODD, abstracts

TOP = 20
REPEATED = [
    "经济发展经济发展经济发展。",
    "研究研究研究研究研究",
    "北京",
    "北京发展",
    "天气天气，气候；研究北京上海发展。" * 30,
]


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def tagger(cache_dir: Path) -> PosTagger:
    return open_tagger(b"", cache_dir, hmm=True)


def expected_of(extractor: Any, texts: list[str], top: int = TOP) -> list[Any]:
    return [extractor.textrank(text, topK=top, withWeight=True) for text in texts]


def test_keywords_and_ranks_are_those_of_jieba(
    sample_texts: list[str], test_data: Path | None, tagger: PosTagger
) -> None:
    texts = [*ODD, *REPEATED, *sample_texts[:10], *abstracts(test_data, 60)]
    found = list(TextRankExtractor(tagger, Candidates(), TOP).extract(texts))
    assert found == expected_of(jieba_extractor("textrank"), texts)
    assert sum(map(bool, found)) > len(texts) / 2


def test_stop_words_take_no_place_in_the_graph_but_one_in_the_window(
    sample_texts: list[str], tagger: PosTagger, tmp_path: Path
) -> None:
    (tmp_path / "stop.txt").write_text("发展\n经济\n", encoding="utf-8")
    jieba = jieba_extractor("textrank", stopwords=tmp_path / "stop.txt")
    texts = [*REPEATED, *sample_texts[:5]]
    found = list(TextRankExtractor(tagger, Candidates(frozenset({"发展", "经济"})), 5).extract(texts))
    assert found == expected_of(jieba, texts, 5)


def test_a_filter_leaves_words_out(tagger: PosTagger) -> None:
    text = "经济发展与社会研究，经济研究与社会发展。"
    longer = Candidates(frozenset(), TokenFilter(min_length=3))
    assert [bool(next(TextRankExtractor(tagger, one, 5).extract([text]))) for one in (Candidates(), longer)] == [
        True,
        False,
    ]


def test_a_user_dictionary_brings_its_words_with_their_tags_and_changes_no_other(
    cache_dir: Path, tagger: PosTagger
) -> None:
    text = "云原生平台与云原生数据库"
    dictionary = "云原生 100000 n\n数据库 100000 xyz\n".encode()
    for _ in range(2):
        own = dict(open_tagger(dictionary, cache_dir, hmm=True).tag(text))
        assert (own["云原生"], own["数据库"]) == ("n", "xyz")
    plain = dict(tagger.tag(text))
    assert "云原生" not in plain
    assert plain["数据库"] in TAGS


def test_the_words_of_a_graph_come_in_the_order_in_which_they_join_it() -> None:
    ranks = rank_words({("丙", "甲"): 1, ("甲", "乙"): 2})
    assert list(ranks) == ["丙", "甲", "乙"]
    assert max(ranks.values()) == ranks["甲"] == 1.0
    assert rank_words({}) == {}
