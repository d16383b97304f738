"""A small network trained on made-up abstracts: what it learns, what it gives, and what it gives for odd texts."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from tasks.nn.backend import UnfitTextError
from tasks.nn.fit import Epoch, FitError
from tasks.nn.model_directory import ModelDirectory, ModelDirectoryError, open_model, write_model
from tasks.nn.offline import run_all
from tasks.summarize.evaluate import mean_rouge_l
from tasks.summarize.span_backend import BACKEND, SpanBackend, open_span
from tasks.summarize.span_windows import MAX_WINDOWS
from tasks.summarize.summary import Length, Summary
from tasks.summarize.train_span import train_span
from tasks.summarize.training_data import Pair

#: Terms are made of these at random, so that no document has anything in common with another's title.
CHARACTERS = (
    "网络图像语音模型数据系统算法结构信号特征空间时间函数矩阵"
    "概率分布优化控制传感器节点路由协议安全密钥编码纹理边缘轮廓聚类回归"
)


def term(dice: random.Random, length: int = 9) -> str:
    return "".join(dice.choice(CHARACTERS) for _ in range(length))


def pairs(count: int, seed: int) -> list[Pair]:
    dice = random.Random(seed)
    made = []
    for _ in range(count):
        title, other = term(dice), term(dice)
        text = (
            f"{term(dice)}是该领域中一项非常重要的工作,现有的{other}在实际应用中还存在不足。"
            f"针对这一现状,提出了一种{title}。利用公开的{term(dice)}进行了{dice.randrange(10, 90)}次实验,"
            f"误差为{dice.random():.2f}。结果表明,它比{other}更加准确、有效。"
        )
        made.append(Pair(text, title))
    return made


TRAIN, DEV = pairs(160, seed=1), pairs(24, seed=2)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def trained(directory: Path, train: list[Pair] = TRAIN, epochs: int = 3, seed: int = 0) -> ModelDirectory:
    model, _ = train_span(train, DEV, directory, seed=seed, epochs=epochs, channels=32)
    return model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> ModelDirectory:
    return trained(tmp_path_factory.mktemp("span"), epochs=6)


def backend_of(model: ModelDirectory, length: Length = "title", max_chars: int | None = None) -> SpanBackend:
    return open_span(model, "cpu", torch.float32, length, max_chars)


@pytest.fixture
def backend(model: ModelDirectory) -> SpanBackend:
    return backend_of(model)


def summary(backend: SpanBackend, text: str) -> Summary:
    (result,) = run_all(backend, [text])
    assert isinstance(result, Summary)
    assert result.text == "".join(text[start:end] for start, end in result.spans)
    return result


def titles(backend: SpanBackend, texts: list[str]) -> list[str]:
    return [summary(backend, text).text for text in texts]


def test_it_learns_where_titles_stand(backend: SpanBackend) -> None:
    found = titles(backend, [pair.text for pair in DEV])
    assert mean_rouge_l(found, [pair.target for pair in DEV]) > 85


def test_trained_on_shuffled_titles_it_learns_little(tmp_path: Path, backend: SpanBackend) -> None:
    shuffled = [Pair(pair.text, other.target) for pair, other in zip(TRAIN, [*TRAIN[1:], TRAIN[0]], strict=True)]
    control = backend_of(trained(tmp_path, shuffled))
    texts, targets = [pair.text for pair in DEV], [pair.target for pair in DEV]
    assert mean_rouge_l(titles(control, texts), targets) < 31
    assert mean_rouge_l(titles(backend, texts), targets) > 85


def test_a_term_that_no_training_text_has_is_copied(backend: SpanBackend) -> None:
    text = DEV[0].text.replace(DEV[0].target, "ＱＺＸ算法" + DEV[0].target[-5:])
    assert "ＱＺＸ算法" in summary(backend, text).text


def test_the_same_whatever_the_batch(backend: SpanBackend) -> None:
    texts = (
        [pair.text for pair in DEV] + ["很长的一段文字，" * 120 + "结束。"] + [pair.text for pair in pairs(23, seed=5)]
    )
    windows = [window for text in texts for window in backend.windows(text)]
    singly = [backend.forward([window])[0] for window in windows]
    for size in (7, 64):
        batches = [windows[start : start + size] for start in range(0, len(windows), size)]
        together = [output for batch in batches for output in backend.forward(batch)]
        for one, other in zip(together, singly, strict=True):
            # Logarithms of forbidden spans' shares are about -10,000; the shares themselves are what must agree.
            assert np.allclose(np.exp(one.log_starts), np.exp(other.log_starts), atol=1e-5, rtol=0)
            assert one.likely.log_shares == pytest.approx(other.likely.log_shares, abs=1e-4)


def test_swapped_documents_give_swapped_titles(backend: SpanBackend) -> None:
    first, second = DEV[0].text, DEV[1].text
    assert titles(backend, [first, second]) == titles(backend, [second, first])[::-1]


def test_without_the_chosen_clause_there_is_another_title(backend: SpanBackend) -> None:
    text = DEV[0].text
    found = summary(backend, text)
    ((start, end),) = found.spans
    assert summary(backend, text[:start] + text[end:]).text != found.text


@pytest.mark.parametrize("end", ["。", "；", "！", "？", ";", "!"])
def test_a_title_does_not_cross_the_end_of_a_sentence(backend: SpanBackend, end: str) -> None:
    for pair in DEV[:8]:
        middle = len(pair.target) // 2
        text = pair.text.replace(pair.target, pair.target[:middle] + end + pair.target[middle:])
        assert end not in summary(backend, text).text


@pytest.mark.parametrize("text", ["", " \n\u3000\t" * 40])
def test_an_empty_text_is_unfit(backend: SpanBackend, text: str) -> None:
    with pytest.raises(UnfitTextError) as caught:
        backend.windows(text)
    assert caught.value.reason == "empty_text"


@pytest.mark.parametrize("length", ["title", "short", "long"])
def test_a_short_text_is_its_own_summary_and_needs_no_device(model: ModelDirectory, length: Length) -> None:
    backend = backend_of(model, length)
    text = " 提出了一种基于粗糙集的方法。\n"
    assert backend.windows(text) == ()
    assert summary(backend, text) == Summary(((1, 15),), text.strip())


@pytest.mark.parametrize("length", ["title", "short", "long"])
@pytest.mark.parametrize(
    "text",
    ["😀😂🎉" * 200, "The quick brown fox jumps over the lazy dog. " * 60, "a" * 5000, "。" * 900, "网络" * 50_000,
     "网络。" * 20_000, "\ud800" * 500, "网络模型，" * 200_000],
    ids=["emoji", "latin", "one_letter", "full_stops", "one_sentence", "lines", "surrogates", "a_million"],
)  # fmt: skip
def test_odd_texts_have_a_summary_within_the_limit(model: ModelDirectory, length: Length, text: str) -> None:
    backend = backend_of(model, length)
    assert len(backend.windows(text)) <= MAX_WINDOWS
    found = summary(backend, text).text
    assert 0 < len(found) <= {"title": 48, "short": 100, "long": 300}[length]


@pytest.mark.parametrize("max_chars", [1, 3, 10, 30, 200])
def test_a_limit_holds(model: ModelDirectory, max_chars: int) -> None:
    lengths: tuple[Length, ...] = ("title", "short")
    for length in lengths:
        assert 0 < len(summary(backend_of(model, length, max_chars), DEV[0].text * 4).text) <= max_chars


def test_several_sentences_stand_in_source_order_and_do_not_overlap(model: ModelDirectory) -> None:
    text = "".join(pair.text for pair in DEV[:4])
    spans = summary(backend_of(model, "long"), text).spans
    assert len(spans) > 1
    assert all(before[1] <= after[0] for before, after in pairwise(spans))


def test_another_tensor_gives_other_titles(model: ModelDirectory) -> None:
    backend, other = backend_of(model), backend_of(model)
    with torch.no_grad():
        for parameter in other._network.parameters():
            parameter.mul_(-1.0)
    texts = [pair.text for pair in DEV]
    assert titles(backend, texts) != titles(other, texts)


def test_a_killed_training_ends_with_the_weights_of_an_unbroken_one(tmp_path: Path) -> None:
    class KilledError(Exception):
        pass

    def kill(epoch: Epoch) -> None:
        if epoch.number == 1:
            raise KilledError

    few = TRAIN[:64]
    unbroken, _ = train_span(few, DEV[:8], tmp_path / "unbroken", seed=4, epochs=2, channels=16)
    with pytest.raises(KilledError):
        train_span(few, DEV[:8], tmp_path / "killed", seed=4, epochs=2, channels=16, on_epoch=kill)
    resumed, report = train_span(few, DEV[:8], tmp_path / "killed", seed=4, epochs=2, channels=16)
    assert [epoch.number for epoch in report.epochs] == [1, 2]
    assert resumed.digest == unbroken.digest
    other, _ = train_span(few, DEV[:8], tmp_path / "other", seed=5, epochs=2, channels=16)
    assert other.digest != unbroken.digest


def test_titles_that_are_in_no_document_cannot_be_learned_from(tmp_path: Path) -> None:
    with pytest.raises(FitError, match="anything like its title"):
        train_span([Pair("没有任何相同的字。", "ABCDE")], DEV, tmp_path)


def test_parts_that_do_not_belong_together_are_refused(model: ModelDirectory, tmp_path: Path) -> None:
    vocabulary = model.read_text("vocab.txt").encode()
    whole = model.tensors()
    without_scores = {name: tensor for name, tensor in whole.items() if name != "towers.0.scores.weight"}
    few_counts = {**whole, "pair_statistics": torch.zeros(10, 2)}
    cases = {
        "missing": (without_scores, vocabulary),
        "counts": (few_counts, vocabulary),
        "vocabulary": (whole, vocabulary + "龘\n".encode()),
    }
    for name, (tensors, text) in cases.items():
        broken = write_model(tmp_path / name, model.config, tensors, {"vocab.txt": text})
        with pytest.raises(ModelDirectoryError, match="no span model"):
            backend_of(broken)


def test_a_written_model_is_opened_by_its_name(model: ModelDirectory) -> None:
    again = open_model(model.path)
    assert (again.config.backend, again.config.kind) == (BACKEND, "summarizer")
    assert backend_of(again).digest == model.digest
