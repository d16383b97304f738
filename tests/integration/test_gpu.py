"""What a GPU computes beside what the CPU does, with the models that come along. Skipped, and counted, without a GPU.

Tolerances: in bf16 a score is within 0.15 of the CPU's, and labels differ only where the CPU's score is as close to 0;
of a hundred titles at most five are other spans.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tasks.classify.backends import load_classifier
from tasks.classify.operation import DEFAULT
from tasks.nn.backend import AnyBackend, UnfitTextError
from tasks.nn.batch_runner import warm_up
from tasks.nn.devices import dtype_for
from tasks.nn.offline import run_all
from tasks.summarize.backends import load_summarizer
from tasks.summarize.operation import DEFAULT_TITLE

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is here"),
]

#: How far a score in bf16 may be from the one in fp32.
SCORE_TOLERANCE = 0.15
#: Which share of titles may be other spans.
OTHER_TITLES = 0.05
GPU = "cuda:0"


@pytest.fixture
def texts(sample_texts: list[str]) -> list[str]:
    return [text for text in sample_texts if text.strip()]


def results(backend: AnyBackend, texts: list[str]) -> list[Any]:
    computed = run_all(backend, texts)
    assert not any(isinstance(one, UnfitTextError) for one in computed)
    return computed


def test_labels_of_a_gpu_are_those_of_the_cpu_but_near_the_threshold(texts: list[str]) -> None:
    on_cpu = np.stack(results(load_classifier(DEFAULT, "cpu", torch.float32), texts))
    on_gpu = np.stack(results(load_classifier(DEFAULT, GPU, dtype_for(GPU)), texts))
    assert np.abs(on_cpu - on_gpu).max() < SCORE_TOLERANCE
    differ = (on_cpu > 0) != (on_gpu > 0)
    assert np.abs(on_cpu[differ]).max(initial=0.0) < SCORE_TOLERANCE


def test_titles_of_a_gpu_are_those_of_the_cpu_but_for_a_few(texts: list[str]) -> None:
    on_cpu = results(load_summarizer(DEFAULT_TITLE, "cpu", torch.float32, length="title", max_chars=None), texts)
    on_gpu = results(load_summarizer(DEFAULT_TITLE, GPU, dtype_for(GPU), length="title", max_chars=None), texts)
    other = sum(cpu.text != gpu.text for cpu, gpu in zip(on_cpu, on_gpu, strict=True))
    assert other <= OTHER_TITLES * len(texts)


def test_the_warm_up_finds_a_larger_budget_on_a_gpu_and_keeps_within_its_memory() -> None:
    backend = load_classifier(DEFAULT, GPU, dtype_for(GPU))
    runner = warm_up(backend, GPU)
    assert runner.token_budget >= 4096
    assert torch.cuda.max_memory_allocated() < torch.cuda.get_device_properties(0).total_memory
