"""The trained extractor: reading, scoring, choosing, training, and its model directory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tasks.nn.backend import UnfitTextError
from tasks.nn.clause_tagger import NO_RUN, ClauseTaggers, TaggerSettings
from tasks.nn.model_directory import WEIGHTS, ModelDirectory, ModelDirectoryError, open_model
from tasks.nn.offline import run_all
from tasks.summarize import train_spaces_extract as training
from tasks.summarize.clause_window import (
    BUCKETS,
    FEATURES,
    FREQUENCY_BUCKETS,
    MAX_CLAUSES,
    clause_window,
    inverse_document_frequencies,
)
from tasks.summarize.run_decoding import best_run
from tasks.summarize.spaces_extract_backend import (
    INVERSE_FREQUENCIES,
    SpacesExtractBackend,
    clause_batch,
    open_spaces_extract,
)
from tasks.summarize.summary import Length, Summary
from tasks.summarize.train_spaces_extract import run_loss, train_spaces_extract
from tasks.summarize.training_data import Pair

TOPICS = ["水稻", "网络", "法院", "经济", "天气", "医院", "学校", "汽车", "足球", "音乐", "电影", "历史"]


def document(topic: str, place: int) -> str:
    filler = [
        f"关于{topic}的讨论由来已久，",
        "众说纷纭莫衷一是。\n",
        f"其中{topic}尤其受到关注，",
        "各方意见不一。\n",
    ] * 3
    filler.insert(place, f"【结论】{topic}的研究取得重要进展，")
    return "".join(filler)


PAIRS = [
    Pair(document(topic, place), f"【结论】{topic}的研究取得重要进展") for topic in TOPICS for place in (1, 5, 8, 10)
]
DEV = [
    Pair(document(topic, place), f"【结论】{topic}的研究取得重要进展") for topic in ("粮食", "航天") for place in (3, 7)
]
MANY = "甲乙丙丁，戊己庚辛。" * 300


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelDirectory:
    """Return an extractor that has learned to look for conclusions."""
    torch.set_num_threads(1)
    trained, report = train_spaces_extract(PAIRS * 6, DEV, tmp_path_factory.mktemp("models") / "conclusions")
    assert report.best_figure > 80
    return trained


def opened(model: ModelDirectory, length: Length = "short", max_chars: int | None = 16) -> SpacesExtractBackend:
    return open_spaces_extract(model, "cpu", torch.float32, length, max_chars)


def summaries(backend: SpacesExtractBackend, texts: list[str], token_budget: int = 8192) -> list[Summary]:
    results = run_all(backend, texts, token_budget)
    good = [result for result in results if isinstance(result, Summary)]
    assert len(good) == len(texts)
    for summary, text in zip(good, texts, strict=True):
        assert summary.text == "".join(text[start:end] for start, end in summary.spans)
    return good


def test_it_finds_in_new_documents_what_it_was_trained_to_find(model: ModelDirectory) -> None:
    texts = [document("考古", 2), document("ＱＺＸ", 8)]
    first, second = summaries(opened(model), texts)
    assert first.text == "【结论】考古的研究取得重要进展"
    assert second.text == "【结论】ＱＺＸ的研究取得重要进展"
    swapped = summaries(opened(model), texts[::-1])
    assert [summary.text for summary in swapped] == [second.text, first.text]


def test_without_the_chosen_clause_the_summary_is_another(model: ModelDirectory) -> None:
    text = document("考古", 2)
    chosen = summaries(opened(model), [text])[0].text
    assert chosen not in summaries(opened(model), [text.replace(chosen, "")])[0].text


def test_scores_do_not_depend_on_the_batch(model: ModelDirectory) -> None:
    backend = opened(model)
    texts = [document(topic, place) for topic, place in zip(TOPICS, range(12), strict=True)] + [MANY]
    windows = [backend.windows(text)[0] for text in texts]
    together = backend.forward(windows)
    backwards = backend.forward(windows[::-1])[::-1]
    for window, one, other in zip(windows, together, backwards, strict=True):
        alone = backend.forward([window])[0]
        for scores in (one, other):
            np.testing.assert_allclose(scores.runs, alone.runs, atol=1e-4, rtol=1e-5)
            np.testing.assert_allclose(scores.keep, alone.keep, atol=1e-5)


def test_summaries_are_the_same_in_batches_of_any_size(model: ModelDirectory) -> None:
    texts = [document(topic, place) for topic, place in zip(TOPICS, range(12), strict=True)] + [MANY]
    expected = summaries(opened(model), texts)
    for budget in (1, 60, 500):
        assert summaries(opened(model), texts, budget) == expected


@pytest.mark.parametrize("length", ["title", "short", "long"])
@pytest.mark.parametrize(
    "text",
    [
        "😀" * 1000,
        "The quick brown fox jumps over the lazy dog, and so on. " * 50,
        "一" * 100_000,
        "。" * 1000,
        ("甲乙丙丁，" * 200_000)[:1_000_000],
        "\ud800" * 500,
    ],
    ids=["emoji", "latin", "one_sentence", "marks", "a_million", "surrogates"],
)
def test_every_text_has_a_summary_within_the_limit(model: ModelDirectory, text: str, length: Length) -> None:
    limit = {"title": 48, "short": 100, "long": 300}[length]
    assert 0 < len(summaries(opened(model, length, None), [text])[0].text) <= limit


def test_a_long_summary_takes_more_than_one_run(model: ModelDirectory) -> None:
    text = document("考古", 2) * 3
    long = summaries(opened(model, "long", 100), [text])[0]
    short = summaries(opened(model, "short", 100), [text])[0]
    assert len(short.text) <= len(long.text) <= 100


def test_a_short_text_is_its_own_summary_and_an_empty_one_is_unfit(model: ModelDirectory) -> None:
    backend = opened(model)
    assert summaries(backend, [" 你好，世界。\n"])[0] == Summary(((1, 7),), "你好，世界。")
    assert backend.windows("你好") == ()
    failed = run_all(backend, ["", " \n"])
    assert [error.reason for error in failed if isinstance(error, UnfitTextError)] == ["empty_text"] * 2


def test_a_window_is_bounded_however_long_the_text() -> None:
    table = np.ones(FREQUENCY_BUCKETS, dtype=np.float32)
    window = clause_window("甲乙丙丁，" * 200_000, table)
    assert window.length == MAX_CLAUSES
    assert window.features.shape == (MAX_CLAUSES, FEATURES)
    assert int(window.bucket_counts.sum()) == len(window.buckets)
    assert window.buckets.max() < BUCKETS
    assert np.isfinite(window.features).all()


def test_frequencies_tell_common_bigrams_from_rare_ones() -> None:
    table = inverse_document_frequencies(["中国人民", "中国法律", "中国经济"])
    assert table.min() == pytest.approx(np.log(4 / 4))
    assert table.max() == pytest.approx(np.log(4 / 1))


def test_one_flipped_tensor_changes_the_summaries(model: ModelDirectory) -> None:
    texts = [document(topic, 5) for topic in TOPICS]
    backend = opened(model)
    windows = [backend.windows(text)[0] for text in texts]
    before = [scores.runs for scores in backend.forward(windows)]
    with torch.no_grad():
        next(parameter for name, parameter in backend._network.named_parameters() if "first" in name).neg_()
    after = [scores.runs for scores in backend.forward(windows)]
    assert max(np.abs(one - other).max() for one, other in zip(before, after, strict=True)) > 0.01


def test_an_altered_or_unfit_directory_is_refused(model: ModelDirectory, tmp_path: Path) -> None:
    from tasks.nn.model_directory import ModelConfig, write_model  # noqa: PLC0415 - this test alone writes one

    tensors = model.tensors()
    settings = dict(model.config.settings)
    config = ModelConfig("summarizer", "spaces-extract", "x", "1", settings)
    without = {name: tensor for name, tensor in tensors.items() if name != INVERSE_FREQUENCIES}
    with pytest.raises(ModelDirectoryError, match="do not fit the settings"):
        opened(write_model(tmp_path / "a", config, without, {}))
    wider = ModelConfig("summarizer", "spaces-extract", "x", "1", {**settings, "channels": 8})
    with pytest.raises(ModelDirectoryError, match="do not fit the settings"):
        opened(write_model(tmp_path / "b", wider, tensors, {}))
    older = ModelConfig("summarizer", "spaces-extract", "x", "1", {**settings, "decoding": 0})
    with pytest.raises(ModelDirectoryError, match="another version"):
        opened(write_model(tmp_path / "c", older, tensors, {}))
    odd = ModelConfig("summarizer", "spaces-extract", "x", "1", {**settings, "colour": "red"})
    with pytest.raises(ModelDirectoryError, match="settings are not those"):
        opened(write_model(tmp_path / "d", odd, tensors, {}))
    weights = write_model(tmp_path / "e", config, tensors, {}).path / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    with pytest.raises(ModelDirectoryError, match="altered"):
        open_model(tmp_path / "e")


def test_equal_seeds_give_equal_models_and_a_killed_training_goes_on(tmp_path: Path) -> None:
    whole, _ = train_spaces_extract(PAIRS * 2, DEV, tmp_path / "whole", seed=1)

    class KilledError(Exception):
        pass

    def kill(epoch: object) -> None:
        raise KilledError

    with pytest.raises(KilledError):
        train_spaces_extract(PAIRS * 2, DEV, tmp_path / "killed", seed=1, on_epoch=kill)
    assert not (tmp_path / "killed" / "config.json").exists()
    epochs: list[int] = []
    resumed, _ = train_spaces_extract(
        PAIRS * 2, DEV, tmp_path / "killed", seed=1, on_epoch=lambda epoch: epochs.append(epoch.number)
    )
    assert epochs[0] == 2
    assert resumed.digest == whole.digest
    assert not (tmp_path / "killed" / "training").exists()


def test_runs_beyond_the_end_of_a_document_do_not_exist() -> None:
    table = np.ones(FREQUENCY_BUCKETS, dtype=np.float32)
    windows = [clause_window("甲，乙，丙。", table), clause_window("甲，乙。", table)]
    network = ClauseTaggers(TaggerSettings(features=FEATURES, buckets=BUCKETS)).eval()
    runs, keep = network(clause_batch(windows))
    assert runs.shape == (2, 3, 14)
    assert keep.shape == (2, 3)
    exists = runs > NO_RUN
    assert exists[0, :, :4].tolist() == [
        [True, True, True, False],
        [True, True, False, False],
        [True, False] + [False] * 2,
    ]
    assert exists[1].sum() == 3


def test_the_loss_is_least_where_scores_follow_their_targets() -> None:
    targets = torch.tensor([[[0.5, 0.3], [0.1, -1.0]]])
    right = targets / training.TEMPERATURE
    assert float(run_loss(right, targets)) == pytest.approx(0, abs=1e-5)
    assert float(run_loss(-right, targets)) > 1


STARTS, ENDS = np.array([0, 10, 20, 30]), np.array([10, 20, 30, 40])


def scores_of(values: dict[tuple[int, int], float]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    scores = np.full((4, 2), -1e9, dtype=np.float32)
    for place, value in values.items():
        scores[place] = value
    return scores


def test_the_run_that_shares_most_with_the_likely_ones_is_chosen() -> None:
    # The single best run stands alone; three good ones lie together.
    scores = scores_of({(0, 0): 1.0, (2, 0): 0.9, (2, 1): 0.9, (3, 0): 0.9})
    assert best_run(scores, STARTS, ENDS, 100) == (2, 4)


def test_what_does_not_fit_still_says_what_is_likely() -> None:
    # The likeliest run is too long; of its halves the one is taken that an other likely run shares.
    scores = scores_of({(1, 1): 2.0, (1, 0): 0.0, (2, 0): 0.0, (2, 1): 1.0})
    assert best_run(scores, STARTS, ENDS, 10) == (2, 3)


def test_the_beginning_counts_by_its_weight() -> None:
    scores = scores_of({(0, 0): 0.0, (0, 1): 0.0, (2, 1): 2.0})
    assert best_run(scores, STARTS, ENDS, 20) == (2, 4)
    assert best_run(scores, STARTS, ENDS, 20, lead_weight=1.0) == (0, 2)


def test_a_run_over_the_limit_is_not_chosen_and_without_any_the_best_clause_is() -> None:
    scores = scores_of({(0, 1): 9.0, (1, 0): 0.0, (2, 0): 1.0})
    assert best_run(scores, STARTS, ENDS, 10) in {(2, 3), (1, 2)}
    assert best_run(scores, STARTS, ENDS, 5) == (2, 3)
