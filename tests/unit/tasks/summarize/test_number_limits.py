"""No number that the document has not: by hand, with networks of random weights, and with one trained to invent."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch

from tasks.nn.model_directory import ModelDirectoryError
from tasks.nn.offline import run_all
from tasks.nn.pointer_generator import PointerGenerator, PointerGeneratorSettings, writing_loss
from tasks.summarize.backends import load_summarizer
from tasks.summarize.generate_backend import GenerateBackend
from tasks.summarize.number_limits import NumberLimits, WritableTokens
from tasks.summarize.operation import DEFAULT_TITLE
from tasks.summarize.source_windows import collate_sources, read_source, target_tokens
from tasks.summarize.span_features import FEATURES, PairStatistics
from tasks.summarize.summary import Summary
from tasks.summarize.summary_measures import Source, measure
from tasks.summarize.train_generate import GeneratorOptions, train_generate
from tasks.summarize.training_data import Pair
from tasks.text.characters import CharacterVocabulary, frequent_characters

END = 1
CHARACTERS = "0123456789.,一二三十百千万亿零〇两年月日%家"
TOKENS = dict(enumerate("0123456789.,一百二十万家", start=2))
TOKEN_OF = {character: token for token, character in TOKENS.items()}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def following(piece: str, written: str, max_length: int = 20) -> str:
    """Return the characters that may follow, $ for the end."""
    limits = NumberLimits(piece, WritableTokens.of(TOKENS), END, max_length)
    forbidden = set(limits([TOKEN_OF[character] for character in written]))
    return "".join(character for token, character in {**TOKENS, END: "$"}.items() if token not in forbidden)


@pytest.mark.parametrize(
    ("piece", "written", "expected"),
    [
        ("共204家。", "", "2.,一百二十万家$"),
        ("共204家。", "家2", "0"),
        ("共204家。", "204", ".,一二家$"),
        ("共12万家。", "12", "万"),
        ("共12万家。", "12万", "1.,一二家$"),
        ("占3.5。", "3", "."),
        ("占3.5。", "3.", "5"),
        ("占3与3.5。", "3.", "5.,一百二十万家$"),
        # A half-width comma in what was written may be a full-width one of the document, which ends a number.
        ("3，5家", "3,", "5.,一百二十万家$"),
        # A numeral that stands alone is no number; two are one.
        ("一百二十家。", "一", ".,百家$"),
        ("一百二十家。", "一百", "二"),
        ("没有。", "", ".,一百二十万家$"),
        # What the window may have cut is none of its numbers.
        ("共204", "", ".,一百二十万家$"),
    ],
)
def test_only_whole_numbers_of_the_document_may_be_written(piece: str, written: str, expected: str) -> None:
    assert set(following(piece, written)) == set(expected)


def test_no_number_begins_that_has_no_room_and_none_is_left_half_written() -> None:
    assert "2" in following("共204家。", "家", max_length=4)
    assert "2" not in following("共204家。", "家家", max_length=4)
    limits = NumberLimits("共204家。", WritableTokens.of(TOKENS), END, 20)
    half, whole = [TOKEN_OF[character] for character in "家20"], [TOKEN_OF[character] for character in "家204"]
    assert limits.kept(half) == half[:1]
    assert limits.kept(whole) == whole


def random_texts(count: int) -> list[str]:
    dice = random.Random(3)
    drawn = CHARACTERS + "，１２，①鑫淼" + "的是在有" * 5
    return ["".join(dice.choice(drawn) for _ in range(dice.randrange(26, 100))) for _ in range(count)]


def summaries(backend: GenerateBackend, texts: Sequence[str]) -> list[str]:
    return [result.text if isinstance(result, Summary) else "" for result in run_all(backend, texts)]


def invented(backend: GenerateBackend, texts: Sequence[str]) -> tuple[int, int]:
    measures, _ = measure(summaries(backend, texts), [Source(text) for text in texts])
    return measures.numbers, measures.invented_numbers


def test_random_weights_write_no_number_that_their_documents_have_not() -> None:
    texts = random_texts(200)
    vocabulary, statistics = CharacterVocabulary(CHARACTERS), PairStatistics.count([], [])
    settings = PointerGeneratorSettings(vocabulary.size, FEATURES, embedding=8, channels=8, layers=1)
    torch.manual_seed(1)
    network = PointerGenerator(settings)
    with torch.no_grad():
        # Nothing is likelier than a number.
        network.bias[2 : 2 + len(CHARACTERS)] += 2.0
    wild, held = (
        GenerateBackend(network, vocabulary, statistics, "", max_chars=24, faithful=faithful)
        for faithful in (False, True)
    )
    assert invented(wild, texts)[1] > 100
    numbers, wrong = invented(held, texts)
    assert numbers > 100
    assert wrong == 0


def news(count: int, seed: int) -> list[str]:
    dice = random.Random(seed)
    return [
        f"据报道,今年全省新增企业{dice.randrange(100, 700)}家,比去年同期有所增长,形势总体稳定向好。"
        for _ in range(count)
    ]


def taught(title: str, texts: Sequence[str]) -> tuple[PointerGenerator, CharacterVocabulary]:
    """Return a network that has learned what is in one title, and writes it about everything."""
    vocabulary, statistics = frequent_characters([*texts, title], 1), PairStatistics.count([], [])
    settings = PointerGeneratorSettings(vocabulary.size, FEATURES, embedding=16, channels=16, layers=1)
    torch.manual_seed(0)
    network = PointerGenerator(settings)
    windows = [read_source(text, vocabulary, statistics, settings) for text in texts]
    source = collate_sources(windows, settings)
    target = torch.from_numpy(target_tokens(title, windows[0], vocabulary, settings)).expand(len(texts), -1)
    shown = torch.cat([torch.full((len(texts), 1), settings.start), target[:, :-1]], dim=1)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.03)
    for _ in range(60):
        optimizer.zero_grad()
        writing_loss(network(source, shown), target).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return network, vocabulary


def test_a_generator_that_was_taught_a_wrong_number_is_kept_from_it() -> None:
    texts = news(40, seed=3)
    network, vocabulary = taught("新增企业777家", texts[:8])
    free, held = (
        GenerateBackend(network, vocabulary, PairStatistics.count([], []), "", max_chars=12, faithful=faithful)
        for faithful in (False, True)
    )
    assert all("77" in summary for summary in summaries(free, texts))
    assert invented(free, texts)[1] >= len(texts)
    written = summaries(held, texts)
    assert invented(held, texts)[1] == 0
    assert all(written)
    # What is kept from one document is no other's business.
    assert written[:6] == [summaries(held, [text])[0] for text in texts[:6]]


def test_a_model_is_held_to_its_documents_when_it_is_loaded(tmp_path: Path) -> None:
    pairs = [Pair(text, "新增企业777家") for text in news(8, seed=1)]
    model, _ = train_generate(pairs, pairs[:2], tmp_path, GeneratorOptions(1, embedding=8, channels=8, layers=1))
    held = load_summarizer(model.path, "cpu", torch.float32, length="title", max_chars=12, faithful=True)
    assert isinstance(held, GenerateBackend)
    assert invented(held, news(40, seed=3))[1] == 0


def test_what_takes_its_summaries_from_the_text_refuses() -> None:
    with pytest.raises(ModelDirectoryError, match=r"--faithful is for a --model that was trained by .* span takes its"):
        load_summarizer(DEFAULT_TITLE, "cpu", torch.float32, length="title", max_chars=None, faithful=True)
