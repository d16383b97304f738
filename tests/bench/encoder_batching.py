"""An encoder of BERT-base's size, with random weights, on sentences: our batches against 32 in the file's order.

    python -m tests.bench.encoder_batching --sentences 400

Prints sentences a second of both and the padding of each. On a GPU it prints the share of the bf16 peak too, if
`--peak-tflops` says what that is. Asserts nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import BertConfig, BertModel

from tasks.nn.batch_runner import warm_up
from tasks.nn.devices import dtype_for
from tasks.nn.token_batches import BatchStatistics
from tests.bench.whole_job import describe_run
from tests.support.availability import find_test_data
from tests.support.reference import texts_of
from workers.device import choose_device

FIXED_BATCH = 32
MAX_POSITIONS = 512


@dataclass(frozen=True, slots=True)
class Ids:
    """The token ids of one sentence."""

    ids: list[int]

    @property
    def length(self) -> int:
        """How many there are."""
        return len(self.ids)


class RandomEncoder:
    """BERT-base with random weights; a character is a token, which is all that speed depends on."""

    digest = "0" * 64

    def __init__(self, device: str) -> None:
        self._device = device
        torch.manual_seed(0)
        config = BertConfig(vocab_size=21128)
        network: torch.nn.Module = BertModel(config, add_pooling_layer=False)
        self.model = network.to(device, dtype_for(device)).eval()

    def windows(self, text: str) -> list[Ids]:
        """Return the sentence as ids, cut to what the model takes."""
        return [Ids([101, *(200 + ord(character) % 20000 for character in text[: MAX_POSITIONS - 2]), 102])]

    def forward(self, windows: Sequence[Ids]) -> list[float]:
        """Return one number a sentence."""
        length = max(window.length for window in windows)
        ids = torch.tensor([[*window.ids, *[0] * (length - window.length)] for window in windows])  # (B, T)
        mask = torch.tensor([[1] * window.length + [0] * (length - window.length) for window in windows])
        with torch.inference_mode():
            hidden = self.model(ids.to(self._device), attention_mask=mask.to(self._device)).last_hidden_state
        return [float(value) for value in hidden[:, 0, 0].float().cpu()]

    def result(self, text: str, windows: Sequence[Ids], outputs: Sequence[float]) -> float:
        """Return the number."""
        return outputs[0]


def main() -> None:
    """Run both ways and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sentences", type=int, default=400)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--peak-tflops", type=float)
    options = parser.parse_args()
    data = find_test_data()
    if data is None:
        sys.exit("set HANMILL_TEST_DATA to the directory of the test texts")
    device = choose_device(options.device)
    encoder = RandomEncoder(device)
    texts = list(texts_of(data / "case_elements" / "dev.jsonl.gz"))
    # Every n-th, so that they come from all documents.
    texts = (texts * (1 + options.sentences // len(texts)))[:: max(1, len(texts) // options.sentences)]
    windows = [encoder.windows(text)[0] for text in texts[: options.sentences]]
    fixed = _fixed(encoder, windows, device)
    ours = _ours(encoder, windows, device, options.peak_tflops)
    factor = round(ours["sentences_per_s"] / fixed["sentences_per_s"], 2)
    figures = {**describe_run(), "device": device, "fixed": fixed, "ours": ours, "factor": factor}
    print(json.dumps(figures, indent=2))  # noqa: T201 - the result of a benchmark


def _fixed(encoder: RandomEncoder, windows: Sequence[Ids], device: str) -> dict[str, Any]:
    encoder.forward(windows[:FIXED_BATCH])
    statistics = BatchStatistics()
    started = time.perf_counter()
    for start in range(0, len(windows), FIXED_BATCH):
        batch = windows[start : start + FIXED_BATCH]
        encoder.forward(batch)
        statistics.add([window.length for window in batch], 1, 0.0)
    return _figures(windows, statistics, _elapsed_s(started, device))


def _ours(encoder: RandomEncoder, windows: Sequence[Ids], device: str, peak_tflops: float | None) -> dict[str, Any]:
    runner = warm_up(encoder, device)
    started = time.perf_counter()
    runner.run(windows)
    elapsed_s = _elapsed_s(started, device)
    figures = {**_figures(windows, runner.statistics, elapsed_s), "token_budget": runner.token_budget}
    if peak_tflops:
        # Two operations a weight and position, the embeddings aside; attention's own products are left out.
        weights = sum(weight.numel() for name, weight in encoder.model.named_parameters() if "embeddings" not in name)
        done = 2 * weights * runner.statistics.tokens / elapsed_s / 1e12
        figures["share_of_peak"] = round(done / peak_tflops, 3)
    return figures


def _elapsed_s(started: float, device: str) -> float:
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - started


def _figures(windows: Sequence[Ids], statistics: BatchStatistics, elapsed_s: float) -> dict[str, Any]:
    return {
        "seconds": round(elapsed_s, 2),
        "sentences_per_s": round(len(windows) / elapsed_s, 1),
        "padding_waste": round(statistics.padding_waste, 4),
    }


if __name__ == "__main__":
    main()
