"""Checkpoints write summaries, greedy or by beams, that do not depend on what else is in the batch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.availability import need_module

need_module("transformers")

from tasks.nn.backend import UnfitTextError
from tasks.nn.offline import run_all
from tasks.summarize.generated import cut_to
from tasks.summarize.seq2seq_backend import Seq2SeqBackend, end_ids, open_seq2seq
from tasks.summarize.summary import Summary
from tests.support import tiny_checkpoints as tiny

FAMILIES = ["bart", "mt5", "t5_pegasus"]


@pytest.fixture(autouse=True)
def network_is_shut(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.only_loopback(monkeypatch)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that gives the directory of a checkpoint, made once."""
    home = tmp_path_factory.mktemp("checkpoints")
    makers = {"bart": tiny.make_bart, "mt5": tiny.make_mt5, "t5_pegasus": tiny.make_t5_pegasus}
    return lambda name: home / name if (home / name).exists() else makers[name](home / name)


def opened(directory: Path, max_chars: int = 24, num_beams: int | None = None) -> Seq2SeqBackend:
    return open_seq2seq(directory, "cpu", torch.float32, "title", max_chars, num_beams=num_beams)


def with_likely_end(backend: Seq2SeqBackend) -> Seq2SeqBackend:
    """Let the random network end its texts, each at another length."""
    network: Any = backend._network
    end = next(iter(end_ids(backend._generation)))
    head = network.get_output_embeddings()
    scores: list[torch.Tensor] = []
    hook = head.register_forward_hook(lambda _module, _inputs, output: scores.append(output.detach()))
    backend.forward(list(backend.windows(tiny.TEXTS[0])))
    hook.remove()
    gap = float(torch.cat(scores).amax(-1).mean() - torch.cat(scores)[..., end].mean())

    def raised(_module: Any, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
        output[..., end] += 0.8 * gap
        return output

    head.register_forward_hook(raised)
    return backend


@pytest.mark.parametrize("num_beams", [1, 3])
@pytest.mark.parametrize("name", FAMILIES)
def test_a_batch_of_one_and_any_other_give_the_same(name: str, num_beams: int, made: Callable[[str], Path]) -> None:
    backend = with_likely_end(opened(made(name), num_beams=num_beams))
    windows = [window for text in tiny.texts(12) for window in backend.windows(text)]
    alone = [backend.forward([window])[0] for window in windows]
    assert backend.forward(windows) == alone
    assert backend.forward(windows[::-1]) == alone[::-1]
    assert len(set(alone)) > 1
    assert len({len(output) for output in alone}) > 1


@pytest.mark.parametrize("name", FAMILIES)
def test_a_summary_is_text_without_places_and_within_its_length(name: str, made: Callable[[str], Path]) -> None:
    results = run_all(opened(made(name)), [tiny.TEXTS[0] * 3, tiny.TEXTS[3]])
    for result in results:
        assert isinstance(result, Summary)
        assert result.spans == ()
        assert 0 < len(result.text) <= 24
        assert "[" not in result.text
        assert "▁" not in result.text


def test_the_own_numbers_of_t5_give_way_to_a_bert_vocabulary(made: Callable[[str], Path]) -> None:
    settings = opened(made("t5_pegasus"))._generation
    entries = tiny.vocabulary(words=True)
    assert entries[settings.decoder_start_token_id] == "[CLS]"
    assert [entries[number] for number in end_ids(settings)] == ["[SEP]"]
    kept = opened(made("bart"))._generation
    assert (kept.decoder_start_token_id, kept.eos_token_id) == (3, 3)


def test_chance_in_a_checkpoints_settings_is_put_aside(made: Callable[[str], Path], tmp_path: Path) -> None:
    directory = tiny.make_bart(tmp_path / "bart")
    settings = '{"do_sample": true, "temperature": 5.0, "top_k": 3, "num_beams": 2, "min_length": 20, "max_length": 84}'
    (directory / "generation_config.json").write_text(settings, encoding="utf-8")
    backend = opened(directory)
    assert backend._generation.num_beams == 2
    assert opened(directory, num_beams=1)._generation.num_beams == 1
    windows = list(backend.windows(tiny.TEXTS[0]))
    assert len({backend.forward(windows)[0] for _ in range(4)}) == 1


def test_short_texts_stand_for_themselves_and_empty_ones_are_unfit(made: Callable[[str], Path]) -> None:
    backend = opened(made("bart"))
    assert backend.windows(" 北京是中国的首都。\n") == []
    own, empty, blank = run_all(backend, [" 北京是中国的首都。\n", "", " \u3000\n"])
    assert own == Summary(((1, 10),), "北京是中国的首都。")
    assert isinstance(empty, UnfitTextError)
    assert isinstance(blank, UnfitTextError)
    assert empty.reason == blank.reason == "empty_text"


@pytest.mark.parametrize("text", ["😀" * 300, "\u200b" * 300, "a" * 100_000])
def test_a_text_of_which_no_token_is_known_is_unfit(text: str, made: Callable[[str], Path]) -> None:
    (result,) = run_all(opened(made("bart")), [text])
    assert isinstance(result, UnfitTextError)
    assert result.reason == "unknown_text"


@pytest.mark.parametrize("text", ["北京是中国的首都" * 125_000, "京" * 100_000, "only Latin words here. " * 9])
def test_odd_texts_have_one_bounded_window(text: str, made: Callable[[str], Path]) -> None:
    backend = opened(made("bart"))
    (window,) = backend.windows(text)
    assert window.length <= 128
    (result,) = run_all(backend, [text])
    assert isinstance(result, Summary)


def test_an_altered_weight_changes_the_output_and_the_digest(made: Callable[[str], Path], tmp_path: Path) -> None:
    from safetensors.torch import load, save_file  # noqa: PLC0415 - optional

    directory = tiny.make_bart(tmp_path / "bart")
    original = opened(made("bart"))
    weights = load((directory / "model.safetensors").read_bytes())
    weights["model.decoder.layers.0.fc1.weight"] *= -1
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    altered = opened(directory)
    windows = list(original.windows(tiny.TEXTS[0]))
    assert altered.digest != original.digest
    assert altered.forward(windows) != original.forward(windows)


def test_a_long_text_is_cut_at_a_sentence_or_a_clause() -> None:
    assert cut_to("方法有效。结果表明它更快", 8) == "方法有效。"
    assert cut_to("方法很有效，结果表明它更快", 8) == "方法很有效"
    assert cut_to("好。结果表明它更快更省", 8) == "好。结果表明它更"
    assert cut_to("方法有效", 4) == "方法有效"
