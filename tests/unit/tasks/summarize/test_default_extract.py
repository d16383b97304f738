"""The extractor that comes with the package."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tasks.nn.model_directory import WEIGHTS, ModelDirectory, open_model
from tasks.nn.offline import run_all
from tasks.summarize.evaluate import evaluate_summarizer
from tasks.summarize.spaces_extract_backend import open_spaces_extract
from tasks.summarize.summary import Summary
from tasks.summarize.train_default_extract import DIRECTORY, REPEATS
from tasks.summarize.training_data import read_pairs
from tests.support.availability import REPOSITORY

NEWS = (
    "本报讯（记者张三）昨日，市中级人民法院对一起网络诈骗案作出一审判决，被告人李某犯诈骗罪，被判处有期徒刑十年，"
    "并处罚金人民币二十万元。法院审理查明，2019年至2021年，李某以投资为名骗取四十余名被害人共计三百余万元。"
    "庭审中，李某对指控的事实没有异议。主审法官提醒，投资须谨慎，遇到可疑情形应当及时报警。"
)


@pytest.fixture(scope="module")
def model() -> ModelDirectory:
    torch.set_num_threads(1)
    return open_model(DIRECTORY)


def test_it_is_small_and_its_files_are_whole(model: ModelDirectory) -> None:
    assert (model.path / WEIGHTS).stat().st_size <= 6_000_000
    assert model.config.backend == "spaces-extract"
    assert set(model.metrics["dev"]) == set(REPEATS)


def test_a_summary_is_text_of_its_document(model: ModelDirectory) -> None:
    for length in ("short", "long"):
        (summary,) = run_all(open_spaces_extract(model, "cpu", torch.float32, length, 80), [NEWS])
        assert isinstance(summary, Summary)
        assert 20 < len(summary.text) <= 80
        assert summary.text == "".join(NEWS[start:end] for start, end in summary.spans)


def _check_on_the_sample(model: ModelDirectory) -> None:
    """Without the dev parts: the same path over the sample's papers, whose titles are worth more than nothing to it."""
    pairs = read_pairs(REPOSITORY / "tests" / "samples" / "corpus" / "abstracts.jsonl.gz", "title")[:60]
    backend = open_spaces_extract(model, "cpu", torch.float32, "short", 42)
    found = evaluate_summarizer(backend, pairs, length="short", max_chars=42).as_dict()
    assert found["documents"] == len(pairs)
    assert found["system"]["rouge_l"] > 20


@pytest.mark.slow
@pytest.mark.parametrize("name", REPEATS)
def test_the_card_s_figures_come_out_again(model: ModelDirectory, test_data: Path | None, name: str) -> None:
    if test_data is None:
        _check_on_the_sample(model)
        return
    told = model.metrics["dev"][name]
    pairs = read_pairs(test_data / name / "dev.jsonl.gz", "summary")
    backend = open_spaces_extract(model, "cpu", torch.float32, "short", told["max_chars"])
    found = evaluate_summarizer(backend, pairs, length="short", max_chars=told["max_chars"]).as_dict()
    for score in ("rouge_1", "rouge_2", "rouge_l"):
        assert found["system"][score] == pytest.approx(told["system"][score], abs=0.3)
    # What it is for: more than either of the two that need no model, also than a beginning of the very same length.
    assert all(found["over"][rival]["mean"] >= 1 for rival in ("lead", "textrank", "lead_same_length"))
