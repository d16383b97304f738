"""A small generator trained on made-up abstracts: what it writes, and that nothing but its document decides it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tasks.nn.backend import UnfitTextError
from tasks.nn.fit import Epoch, FitError
from tasks.nn.model_directory import ModelDirectory, ModelDirectoryError, open_model
from tasks.nn.offline import run_all
from tasks.nn.pointer_generator import PointerGenerator, PointerGeneratorSettings, writing_loss
from tasks.summarize.backends import load_summarizer
from tasks.summarize.generate_backend import GenerateBackend
from tasks.summarize.source_windows import collate_sources, read_source, target_tokens, text_of
from tasks.summarize.span_features import FEATURES, PairStatistics
from tasks.summarize.summary import Summary
from tasks.summarize.train_generate import GeneratorOptions, train_generate
from tasks.summarize.training_data import Pair
from tasks.text.characters import CharacterVocabulary

CHARACTERS = "网络图像语音模型数据系统算法结构信号特征空间时间函数矩阵概率分布优化控制"
SMALL = GeneratorOptions(epochs=2, embedding=16, channels=24, layers=1, learning_rate=0.01)


def pairs(count: int, seed: int) -> list[Pair]:
    dice = random.Random(seed)
    made = []
    for _ in range(count):
        title = "".join(dice.choice(CHARACTERS) for _ in range(6))
        text = f"针对现有方法的不足,本文提出了一种{title}方法。实验{dice.randrange(10, 90)}次,该方法是有效的。"
        made.append(Pair(text * 2, f"{title}研究"))
    return made


TRAIN, DEV = pairs(48, seed=1), pairs(6, seed=2)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> ModelDirectory:
    made, _ = train_generate(TRAIN, DEV, tmp_path_factory.mktemp("generate"), SMALL)
    return made


def backend_of(model: ModelDirectory, beams: int | None = None, max_chars: int | None = 12) -> GenerateBackend:
    loaded = load_summarizer(model.path, "cpu", torch.float32, length="title", max_chars=max_chars, beams=beams)
    assert isinstance(loaded, GenerateBackend)
    return loaded


def written(backend: GenerateBackend, texts: Sequence[str]) -> list[str]:
    results = run_all(backend, texts)
    assert all(isinstance(result, Summary) for result in results)
    return [result.text for result in results if isinstance(result, Summary)]


def test_a_training_lowers_the_loss_and_is_taken_up_after_a_kill_as_if_nothing_had_been(tmp_path: Path) -> None:
    class Killed(Exception):  # noqa: N818 - it is no error of anybody
        pass

    def kill(epoch: Epoch) -> None:
        if epoch.number == 1:
            raise Killed

    whole, report = train_generate(TRAIN, DEV, tmp_path / "whole", SMALL)
    assert report.epochs[1].loss < report.epochs[0].loss
    with pytest.raises(Killed):
        train_generate(TRAIN, DEV, tmp_path / "killed", SMALL, on_epoch=kill)
    resumed, _ = train_generate(TRAIN, DEV, tmp_path / "killed", SMALL)
    assert resumed.digest == whole.digest
    other, _ = train_generate(TRAIN, DEV, tmp_path / "other", replace(SMALL, seed=1))
    assert other.digest != whole.digest


@pytest.mark.parametrize("beams", [1, 3])
def test_what_is_written_depends_on_the_document_alone(model: ModelDirectory, beams: int) -> None:
    backend = backend_of(model, beams)
    texts = [pair.text[: 40 + 9 * at] + "𠮷𡃁"[: at % 3] for at, pair in enumerate(DEV)]
    together = written(backend, texts)
    assert together == [written(backend, [text])[0] for text in texts]
    assert all(4 <= len(text) <= 12 for text in together)


def test_one_token_at_a_time_gives_the_shares_of_all_at_once(model: ModelDirectory) -> None:
    backend = backend_of(model)
    windows = [backend.windows(pair.text)[0] for pair in DEV[:3]]
    network, settings = backend._network, backend._network.settings
    source = collate_sources(windows, settings)
    tokens = torch.randint(2, settings.characters, (3, 5))
    tokens[:, 0] = settings.start
    with torch.inference_mode():
        whole = network(source, tokens)
        state = network.begin(source, beams=1)
        for at in range(5):
            shares, state = network.step(tokens[:, at : at + 1], state)
            allowed = state.memory.writable
            assert torch.allclose(shares[:, 0][allowed], whole[:, at][allowed], atol=1e-5)
            assert torch.isinf(shares[:, 0][~allowed]).all()
    assert torch.allclose(whole.exp().sum(dim=-1), torch.ones(3, 5), atol=1e-3)


def test_characters_that_no_vocabulary_has_are_copied() -> None:
    vocabulary = CharacterVocabulary("研究的")
    statistics = PairStatistics.count([], [])
    settings = PointerGeneratorSettings(vocabulary.size, FEATURES, embedding=8, channels=8, layers=1)
    window = read_source("鑫淼的ＢＰ网络", vocabulary, statistics, settings)
    target = target_tokens("淼bp研究龘", window, vocabulary, settings)
    assert text_of(target[:-2].tolist(), window, vocabulary, settings) == "淼ＢＰ研究"
    assert target[-2:].tolist() == [1, settings.end]
    torch.manual_seed(0)
    network = PointerGenerator(settings)
    source = collate_sources([window], settings)
    copied = torch.from_numpy(target[:1]).unsqueeze(0)
    start = torch.tensor([[settings.start]])
    writing_loss(network(source, start), copied).backward()  # type: ignore[no-untyped-call]
    assert network.gate.weight.grad is not None
    assert network.gate.weight.grad.abs().sum() > 0


def test_odd_texts_are_told_or_are_their_own_summary(model: ModelDirectory, tmp_path: Path) -> None:
    backend = backend_of(model)
    with pytest.raises(UnfitTextError):
        backend.windows(" \n")
    assert written(backend, ["  短文。"]) == ["短文。"]
    assert written(backend, ["😀" * 50])
    with pytest.raises(FitError):
        train_generate([], DEV, tmp_path / "none", SMALL)
    broken = tmp_path / "broken"
    train_generate(TRAIN[:4], DEV[:2], broken, replace(SMALL, epochs=1))
    (broken / "vocab.txt").write_text("a\n", encoding="utf-8")
    with pytest.raises(ModelDirectoryError):
        backend_of(open_model(broken))
