"""The choice among frequent n-grams: by the formulas, by the thresholds, and never what is known or a phrase."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.discover.dictionary import load_dictionary
from tasks.discover.frequent import Partition, frequent_grams
from tasks.discover.lexicon import NewWord, Thresholds, min_count_for, new_words
from tasks.discover.partials import encode_partials
from tasks.discover.windows import WindowCounts
from tests.support.plain_lexicon import plain_grams

#: 丁薛祥 and 碳达峰 among changing neighbours; 的时候 is frequent and firm too, and no word.
TEXTS = [
    f"{before}丁薛祥{after}，{after}碳达峰{before}。{before}的时候{after}"
    for before, after in zip("甲乙丙戊己庚辛壬", "子丑寅卯辰巳午未", strict=True)
]
ALL = Thresholds(min_count=2, min_pmi=0.0, min_entropy=0.0)


def chosen(
    thresholds: Thresholds, texts: list[str] | None = None, known: str = "", grammar: str = "的"
) -> dict[str, NewWord]:
    """Return the new words of texts by a dictionary that cuts words of grammar off, and nothing else."""
    counts = WindowCounts(4)
    counts.add(TEXTS if texts is None else texts)
    (blob,) = encode_partials(counts.summed(), 4, 1)
    grams = frequent_grams(Partition(lambda: [(blob, 1)], 4), counts.ideographs, thresholds.min_count)

    def cut(word: str) -> list[str]:
        return [word[0], word[1:]] if word[0] in grammar else [word]

    return {word.word: word for word in new_words(grams, thresholds, known.split().__contains__, cut)}


def test_the_figures_are_those_of_the_formulas() -> None:
    found = chosen(ALL, grammar="")
    right = {gram: figures for gram, figures in plain_grams(TEXTS, 4).items() if figures.count >= ALL.min_count}
    assert set(found) == set(right)
    for gram, figures in right.items():
        word = found[gram]
        measured = (word.count, word.pmi, word.left_entropy, word.right_entropy)
        assert measured == pytest.approx(
            (figures.count, figures.pmi, figures.left_entropy, figures.right_entropy), abs=1e-5
        )
        assert word.score == pytest.approx(word.pmi * min(word.left_entropy, word.right_entropy), abs=1e-5)


def test_words_are_what_holds_together_and_stands_freely() -> None:
    assert set(chosen(Thresholds(4, 1.0, 1.5))) == {"丁薛祥", "碳达峰"}


def test_the_highest_score_comes_first_and_equal_ones_by_code_point() -> None:
    words = list(chosen(ALL).values())
    assert words == sorted(words, key=lambda word: (-word.score, word.word))
    assert len({word.score for word in words}) < len(words)


@pytest.mark.parametrize(
    "thresholds", [Thresholds(9, 0, 0), Thresholds(2, 2.0, 1.5), Thresholds(2, 0, 2.2)], ids=["count", "pmi", "entropy"]
)
def test_each_threshold_is_one(thresholds: Thresholds) -> None:
    assert chosen(thresholds) == {}


def test_known_words_are_not_new() -> None:
    assert set(chosen(Thresholds(4, 1.0, 1.5), known="碳达峰 甲乙")) == {"丁薛祥"}


def test_digits_beside_a_word_may_belong_to_it() -> None:
    free = [f"{before}，枚金牌{after}" for before, after in zip("甲乙丙戊己庚辛壬", "子丑寅卯辰巳午未", strict=True)]
    bound = [text.replace("，", "3") for text in free]
    thresholds = Thresholds(4, 0.5, 1.5)
    assert (set(chosen(thresholds, free)), set(chosen(thresholds, bound))) == ({"枚金牌"}, set())


def test_no_texts_have_no_words() -> None:
    assert chosen(ALL, []) == chosen(ALL, ["abc", "甲"]) == {}


def test_the_least_count_grows_with_the_corpus_between_its_limits() -> None:
    sizes = [0, 500_000, 600_000, 1_000_000, 3_200_000, 10**10]
    assert [min_count_for(size) for size in sizes] == [5, 5, 6, 10, 32, 32]


def test_the_dictionary_is_jiebas_and_the_users(tmp_path: Path) -> None:
    plain = load_dictionary(b"", tmp_path)
    assert [plain.has(word) for word in ("北京", "的", "丁薛祥", "北京大")] == [True, True, False, False]
    assert plain.cut("将继续") == ["将", "继续"]
    users = load_dictionary("丁薛祥 5\n碳达峰 0\n".encode(), tmp_path)
    assert [users.has(word) for word in ("北京", "丁薛祥", "碳达峰", "碳达")] == [True, True, True, False]
