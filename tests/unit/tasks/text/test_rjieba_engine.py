"""The fast engine against jieba itself: the same tokens on every text, with every dictionary."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from copy import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.text import rjieba_engine
from tasks.text.fast_vocabulary import BALANCE_WORD, load_fast_vocabulary
from tasks.text.jieba_engine import JiebaSegmenter, import_jieba, load_vocabulary
from tasks.text.latin_runs import pair_of
from tasks.text.odd_places import PlaceFinder
from tasks.text.rjieba_engine import FastSegmenter
from tasks.text.segmenter import Segmenter, SegmenterOptions, fast_engine, open_segmenter, split_joined
from tasks.text.token_spans import codes_of
from tasks.text.word_numbers import SEPARATOR, WordNumbers

OPTIONS = [SegmenterOptions(mode, hmm) for mode in ("precise", "search") for hmm in (True, False)]
#: Every kind of character that one of the two engines might take for something else.
HOSTILE = (
    "的一是我爱北京天安门小明硕士毕业于中国科学院计算所"  # words, and names that must be guessed
    "T恤AA制C++C#AT&T卡拉OK阿Q江南style4S店"  # dictionary words with Latin characters
    "abzABZ019+#&._%-"
    "ａＺ０９＋％．１"  # full-width forms
    "㐀䶵鿖鿿豈舘\U00020000\U0002a6df\U0002ceb0\U0002f800\U00030000\u3007"  # ideographs outside jieba's range
    "，。！？、；：“”《》（）【】·…—～"
    " \t\r\n\u000b\u000c\u001c\u0085\u00a0\u2003\u2028\u3000\u200b\ufeff"
    "é\u0301ßя中\ufe0f😀👩‍🔬①Ⅷ٣\ue000\ue001"
)
#: Whole words among the characters, so that words come together oftener than by chance.
PIECES = st.one_of(
    st.sampled_from(HOSTILE),
    st.sampled_from(
        ["T恤", "AA制", "C++", "c#", "AT&T", "江南style", "IP地址", "3.14%", "1.5.2", "v2.0-rc1", "北京大学", "\r\n"]
    ),
    st.characters(codec="utf-8", exclude_characters=SEPARATOR),
)
TEXT = st.lists(PIECES, max_size=40).map("".join)


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all tests here: the default dictionary is parsed once."""
    return tmp_path_factory.mktemp("fast-engine-cache")


def both(user_dictionary: bytes, cache_dir: Path, options: SegmenterOptions) -> tuple[JiebaSegmenter, FastSegmenter]:
    fast = load_fast_vocabulary(user_dictionary, cache_dir)
    assert fast is not None
    plain = JiebaSegmenter({}, load_vocabulary(user_dictionary, cache_dir), options.mode, hmm=options.hmm)
    return plain, FastSegmenter({}, fast, options.mode, hmm=options.hmm)


def sorted_tokens(segmenter: Segmenter, texts: list[str]) -> list[list[str]]:
    """Return the tokens of each text in code point order, as they are cut for counting."""
    numbers = WordNumbers()
    tokens = segmenter.cut_numbered(texts, numbers)
    words = list(numbers)
    found: list[list[str]] = [[] for _ in texts]
    for word, text in zip(tokens.words.tolist(), tokens.texts.tolist(), strict=True):
        found[text].append(words[word])
    return [sorted(of_text) for of_text in found]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_tokens_are_those_of_jieba_on_any_text(options: SegmenterOptions, cache_dir: Path) -> None:
    plain, fast = both(b"", cache_dir, options)

    @settings(max_examples=400, deadline=None)
    @given(TEXT)
    def same(text: str) -> None:
        expected = plain.cut(text)
        assert fast.cut(text) == expected
        assert sorted_tokens(fast, [text]) == [sorted(expected)]

    same()


WORD = st.one_of(
    st.text(st.sampled_from("北京大学小明硕士的一云计算台中凱特琳"), min_size=1, max_size=4),
    st.text(st.sampled_from("北京T恤制abC1+#&._%-"), min_size=1, max_size=4),
    st.text(st.sampled_from("北京㐀鿖\U00020000，　é😀·"), min_size=1, max_size=3),
)
ENTRY = st.tuples(WORD, st.one_of(st.none(), st.sampled_from([0, 1, 3, 100, 10**6, 10**12])))


@pytest.mark.parametrize("hmm", [True, False])
def test_the_tokens_are_those_of_jieba_with_any_user_dictionary(*, hmm: bool, cache_dir: Path) -> None:
    @settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    @given(st.lists(ENTRY, min_size=1, max_size=12), st.data())
    def same(entries: list[tuple[str, int | None]], data: st.DataObject) -> None:
        lines = [word if frequency is None else f"{word} {frequency}" for word, frequency in entries]
        plain, fast = both("\n".join(lines).encode(), cache_dir, SegmenterOptions("search", hmm))
        pieces = st.one_of(PIECES, st.sampled_from([word for word, _ in entries]))
        texts = data.draw(st.lists(st.lists(pieces, max_size=25).map("".join), min_size=8, max_size=8))
        expected = [plain.cut(text) for text in texts]
        assert [fast.cut(text) for text in texts] == expected
        assert sorted_tokens(fast, texts) == [sorted(tokens) for tokens in expected]

    same()


def sample_of(data: Path | None, samples: Path, chars: int) -> Iterator[tuple[str, str]]:
    """Yield (name, text) for the beginning of every set, or of the samples where there is none."""
    if data is None:
        for path in sorted(samples.glob("*.txt")):
            yield path.name, path.read_text(encoding="utf-8")[:chars]
        return
    for path in sorted(data.glob("**/*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            text = "".join(json.loads(line).get("text") or "" for line, _ in zip(lines, range(200), strict=False))
        yield str(path), text[:chars]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_tokens_are_those_of_jieba_on_a_sample_of_every_set(
    options: SegmenterOptions, cache_dir: Path, test_data: Path | None
) -> None:
    plain, fast = both(b"", cache_dir, options)
    samples = Path(__file__).parents[3] / "samples" / "corpus"
    named = list(sample_of(test_data, samples, 15_000))
    assert len(named) > 3
    expected = [plain.cut(text) for _, text in named]
    for (name, text), tokens in zip(named, expected, strict=True):
        assert fast.cut(text) == tokens, name
    # Together, they are cut in several stretches.
    texts = [text for _, text in named]
    assert list(split_joined(fast.cut_joined(texts))) == expected
    assert sorted_tokens(fast, texts) == [sorted(tokens) for tokens in expected]


def test_every_character_outside_blocks_stands_alone(cache_dir: Path) -> None:
    plain, fast = both(b"", cache_dir, OPTIONS[0])
    # A few planes whole, the others by samples: jieba takes 10 µs a character.
    points = [*range(1, 0x3400), *range(0x9FB0, 0xD800), *range(0xE000, 0x10000), *range(0x10000, 0x110000, 97)]
    for start in range(0, len(points), 1000):
        text = "".join(f"京{chr(point)}A9{chr(point)}" for point in points[start : start + 1000])
        assert fast.cut(text) == plain.cut(text), hex(points[start])


@given(st.lists(st.text(st.sampled_from("北京T恤 \r\n，3.5%"), max_size=6), min_size=1, max_size=6))
@settings(deadline=None)
def test_texts_cut_together_are_cut_as_they_are_alone(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    plain, fast = both(b"", tmp_path_factory.getbasetemp() / "together", OPTIONS[0])
    alone = [plain.cut(text) for text in texts]
    assert list(split_joined(fast.cut_joined(texts))) == alone
    assert list(split_joined(plain.cut_joined(texts))) == alone
    assert sorted_tokens(fast, texts) == sorted_tokens(plain, texts) == [sorted(tokens) for tokens in alone]


def test_half_a_surrogate_pair_is_cut_as_jieba_cuts_it(cache_dir: Path) -> None:
    plain, fast = both(b"", cache_dir, OPTIONS[2])
    for text in ("\ud800", "北京大学\udfff在北京", "T恤\ud83d"):
        assert fast.cut(text) == plain.cut(text)
        assert sorted_tokens(fast, [text]) == [sorted(plain.cut(text))]


def test_the_dictionary_of_the_library_is_jiebas_own(cache_dir: Path) -> None:
    import rjieba  # noqa: PLC0415 - as the engine does

    engine = rjieba.Jieba()
    frequencies = load_vocabulary(b"", cache_dir).tokenizer.FREQ
    assert [word for word, count in frequencies.items() if engine.has_word(word) != bool(count)] == []


@pytest.mark.parametrize(
    "user_dictionary", [b"", "北京 5\n中国 7\n中国 7\n云计算\n的 0".encode()], ids=["default", "user"]
)
def test_the_sum_of_all_frequencies_is_jiebas_own(user_dictionary: bytes, cache_dir: Path) -> None:
    """The library tells no sum, but suggests frequencies by it: f · g / sum + 1 for two characters side by side."""
    load_fast_vocabulary.cache_clear()
    vocabulary = load_fast_vocabulary(user_dictionary, cache_dir)
    assert vocabulary is not None
    engine, total, frequency = vocabulary.engine, vocabulary.jieba.tokenizer.total, 10**8
    for char in "龘靐":
        engine.add_word(char, frequency, "")
    held = engine.suggest_freq("龘靐")
    for more in range(24):
        engine.add_word("龘龘龘", more, "")
        assert engine.suggest_freq("龘靐") == frequency * frequency // (total + 2 * frequency + more) + 1
    assert held
    load_fast_vocabulary.cache_clear()


def test_a_dictionary_that_only_jieba_can_hold_is_left_to_it(cache_dir: Path) -> None:
    many = "\n".join(f"词{number:05} 0" for number in range(1001)).encode()
    huge = "\n".join(f"词{number} {10**17}" for number in range(60)).encode()
    for user_dictionary in (many, huge):
        assert load_fast_vocabulary(user_dictionary, cache_dir) is None
        assert isinstance(open_segmenter(OPTIONS[0], user_dictionary, cache_dir), JiebaSegmenter)
    load_fast_vocabulary.cache_clear()


def test_the_engine_is_taken_where_it_is_proven_and_said_so(monkeypatch: pytest.MonkeyPatch, cache_dir: Path) -> None:
    assert [fast_engine(options) for options in OPTIONS] == [f"rjieba {rjieba_engine.PROVEN_VERSION}"] * 4
    assert fast_engine(SegmenterOptions("full")) == ""
    assert isinstance(open_segmenter(OPTIONS[0], None, cache_dir), FastSegmenter)
    monkeypatch.setattr(rjieba_engine, "installed_version", lambda: "0.2.3")
    assert fast_engine(OPTIONS[0]) == ""
    assert isinstance(open_segmenter(OPTIONS[0], None, cache_dir), JiebaSegmenter)


def test_a_pair_of_characters_is_found_in_every_word_with_latin_characters() -> None:
    words = ["T恤", "C++", "AT&T", "IP地址", "阿Q", "江南style", "c#", "北京", "A", ""]
    assert [pair_of(word) for word in words] == ["T恤", "C+", "T&", "P地", "阿Q", "南s", "c#", "", "", ""]


def test_odd_places_are_found_whole() -> None:
    finder = PlaceFinder(["T恤", "C++", "北京"], ["北京的"])
    found: list[tuple[str, list[str], list[str]]] = [
        ("，我有T恤，", ["我有T恤"], []),
        ("恤T", [], []),
        ("C+C++", ["C+C++"], []),
        ("用3.5%买AB", [], ["3.5%"]),
        ("A1 -- 好-", [], ["--"]),
        ("去北京的路", ["去北京的路"], []),
        ("一3.5二，三㐀四.5", ["三㐀四.5"], ["3.5"]),
        ("a.1，㐀，2.0", ["㐀"], ["a.1", "2.0"]),
        ("v1.0𠀀", ["v1.0𠀀"], []),
        ("", [], []),
    ]
    for text, blocks, runs in found:
        places = finder.find(text, codes_of(text))
        assert [text[start:end] for start, end in places.hard_blocks] == blocks
        assert [text[start:end] for start, end in zip(places.run_starts, places.run_ends, strict=True)] == runs


def test_the_word_that_balances_the_sums_is_in_no_text(cache_dir: Path) -> None:
    _, fast = both(b"", cache_dir, OPTIONS[0])
    assert fast.cut(BALANCE_WORD) == [*BALANCE_WORD]


def test_plain_jieba_gives_the_reference(cache_dir: Path) -> None:
    """The comparisons above stand on `JiebaSegmenter`; here it stands beside an untouched jieba."""
    tokenizer = copy(import_jieba().Tokenizer())
    tokenizer.tmp_dir = str(cache_dir)
    tokenizer.load_userdict(io.BytesIO("云计算 5".encode()))
    plain, _ = both("云计算 5".encode(), cache_dir, OPTIONS[0])
    reference: Any = tokenizer.lcut
    text = "小明硕士毕业于中国科学院计算所，后在云计算中心穿T恤"
    assert plain.cut(text) == reference(text)
