"""TF-IDF against `jieba.analyse.extract_tags`: the same words in the same order with the very same weights."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from tasks.keywords.candidates import STOPWORDS, Candidates
from tasks.keywords.idf_table import IdfTable, jieba_idf_path, open_given, pack_given, parse_idf_file
from tasks.keywords.tfidf import TfidfExtractor
from tasks.text.segmenter import Segmenter, SegmenterOptions, open_segmenter
from tests.support.availability import REPOSITORY
from tests.support.jieba_analyse import jieba_extractor

#: Texts that are hard on ties, filters and arithmetic.
ODD = [
    "",
    " \n\t　",
    "的",
    "天地天地玄黄玄黄宇宙洪荒",
    "The of AND data Data DATA",
    "甲乙 丙丁 戊己 庚辛 壬癸",
    "沪指涨1.2%，A股三大指数今日集体上涨。",
    "区块链区块链区块链，区块。",
    "𠮷野家𠮷野家の牛丼，ａｂｃ　ａｂｃ",
]
TOP = 20


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def segmenter(cache_dir: Path) -> Segmenter:
    return open_segmenter(SegmenterOptions(), None, cache_dir)


@pytest.fixture(scope="module")
def jieba_idf() -> IdfTable:
    return open_given(pack_given(parse_idf_file(jieba_idf_path().read_bytes())))


def abstracts(test_data: Path | None, number: int) -> list[str]:
    """Return abstracts of papers: of the large test texts if they are there, else of the sample."""
    samples = REPOSITORY / "tests" / "samples" / "corpus" / "abstracts.jsonl.gz"
    path = samples if test_data is None else test_data / "csl" / "train.jsonl.gz"

    def texts() -> Iterator[str]:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)["text"]

    return list(islice(texts(), number))


def expected_of(extractor: Any, texts: list[str], top: int = TOP) -> list[Any]:
    return [extractor.extract_tags(text, topK=top, withWeight=True) for text in texts]


def test_keywords_and_weights_are_those_of_jieba(
    sample_texts: list[str], segmenter: Segmenter, jieba_idf: IdfTable
) -> None:
    texts = [*ODD, *sample_texts[:200]]
    found = list(TfidfExtractor(segmenter, Candidates(), jieba_idf, TOP).extract(texts))
    assert found == expected_of(jieba_extractor("tfidf"), texts)


def test_keywords_of_abstracts_are_those_of_jieba(
    test_data: Path | None, segmenter: Segmenter, jieba_idf: IdfTable
) -> None:
    texts = abstracts(test_data, 400)
    found = list(TfidfExtractor(segmenter, Candidates(), jieba_idf, TOP).extract(texts))
    assert found == expected_of(jieba_extractor("tfidf"), texts)


def test_a_text_has_the_same_keywords_alone_and_among_others(
    sample_texts: list[str], segmenter: Segmenter, jieba_idf: IdfTable
) -> None:
    extractor = TfidfExtractor(segmenter, Candidates(), jieba_idf, 5)
    texts = [*ODD, *sample_texts[:20]]
    assert [next(extractor.extract([text])) for text in texts] == list(extractor.extract(texts))
    assert list(extractor.extract([])) == []


def test_stop_words_and_an_idf_file_do_what_they_do_in_jieba(
    sample_texts: list[str], segmenter: Segmenter, tmp_path: Path
) -> None:
    (tmp_path / "stop.txt").write_text("发展\n经济\nlinux\n", encoding="utf-8")
    # A word twice: the last line counts. An even number of values: the median is the upper one.
    (tmp_path / "idf.txt").write_text("发展 9.5\n记者 2.25\n中国 1.0\n中国 0.1\n系统 4.125\n", encoding="utf-8")
    jieba = jieba_extractor("tfidf", stopwords=tmp_path / "stop.txt", idf=tmp_path / "idf.txt")
    idf = open_given(pack_given(parse_idf_file((tmp_path / "idf.txt").read_bytes())))
    assert (idf.of("中国"), idf.absent) == (0.1, jieba.median_idf)
    candidates = Candidates(frozenset({"发展", "经济", "linux"}))
    texts = [*sample_texts[:50], "Linux LINUX linux 经济"]
    assert list(TfidfExtractor(segmenter, candidates, idf, TOP).extract(texts)) == expected_of(jieba, texts)


def test_the_english_stop_words_are_those_of_jieba() -> None:
    assert jieba_extractor("textrank").STOP_WORDS == STOPWORDS


def test_equal_weights_stand_in_the_order_of_the_text(segmenter: Segmenter) -> None:
    idf = open_given(pack_given({"桌子": 1.0, "椅子": 1.0, "书架": 1.0}))
    (found,) = TfidfExtractor(segmenter, Candidates(), idf, 2).extract(["椅子、书架、桌子"])
    assert found == [("椅子", 1 / 3), ("书架", 1 / 3)]


def test_a_stop_word_is_left_out_as_it_is_written_and_in_small_letters() -> None:
    candidates = Candidates(frozenset({"GDP", "api"}))
    assert [candidates[word] for word in ("GDP", "gdp", "API", "Api", "数据")] == [False, True, False, False, True]
