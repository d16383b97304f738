"""Makes the extractor that comes with the package: `python -m tasks.summarize.train_default_extract DATA_DIRECTORY`.

DATA_DIRECTORY holds `tech_lctt/` and `legal_news/`, each with `train.jsonl.gz` and `dev.jsonl.gz`. Four to six minutes
on two cores. The card's figures are computed from the model as it was written.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tasks.nn.fit import Epoch
from tasks.nn.model_directory import CARD, METRICS, ModelDirectory
from tasks.summarize.evaluate import SummaryEvaluation, evaluate_summarizer
from tasks.summarize.spaces_extract_backend import open_spaces_extract
from tasks.summarize.train_spaces_extract import train_spaces_extract
from tasks.summarize.training_data import Pair, read_pairs
from tasks.text.rouge import normalize

#: The sets, and how often each is read: the smaller one oftener, or its kind of text would hardly be seen.
REPEATS = {"tech_lctt": 1, "legal_news": 2}
DIRECTORY = Path(__file__).parent / "default_extract"
SEED = 0


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, evaluate, and write the model with its card."""
    parser = argparse.ArgumentParser(description="Make the extractor that comes with the package.")
    parser.add_argument("data", type=Path, help="directory with tech_lctt/ and legal_news/")
    parser.add_argument("--to", type=Path, default=DIRECTORY, help="where the model is written")
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args(arguments)
    model = make_default_extract(options.data, options.to, options.seed)
    sys.stdout.write(f"{model.path} {model.digest}\n")


def make_default_extract(data: Path, directory: Path, seed: int) -> ModelDirectory:
    """Train on the train parts, measure on the dev parts, and write the model."""
    train = [pair for name, times in REPEATS.items() for pair in _part(data, name, "train") * times]
    dev = {name: _part(data, name, "dev") for name in REPEATS}
    together = [pair for pairs in dev.values() for pair in pairs]
    model, report = train_spaces_extract(train, together, directory, seed=seed, on_epoch=_tell)
    evaluations = {name: _evaluate(model, pairs) for name, pairs in dev.items()}
    figures = {name: evaluation.as_dict() for name, evaluation in evaluations.items()}
    metrics = {**model.metrics, "seconds": round(report.seconds), "dev": figures}
    (directory / METRICS).write_text(json.dumps(metrics, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    (directory / CARD).write_text(_card(evaluations, len(train)), encoding="utf-8")
    return model


def _part(data: Path, name: str, part: str) -> list[Pair]:
    return read_pairs(data / name / f"{part}.jsonl.gz", "summary")


def _tell(epoch: Epoch) -> None:
    sys.stderr.write(
        f"epoch {epoch.number}: loss {epoch.loss:.3f}, ROUGE-L {epoch.figure:.2f}, {epoch.seconds:.0f} s\n"
    )


def _evaluate(model: ModelDirectory, dev: Sequence[Pair]) -> SummaryEvaluation:
    """Measure with the mean length of the written summaries as the limit of every system."""
    max_chars = round(float(np.mean([len(normalize(pair.target)) for pair in dev])))
    backend = open_spaces_extract(model, "cpu", torch.float32, "short", max_chars)
    return evaluate_summarizer(backend, dev, length="short", max_chars=max_chars)


def _card(evaluations: Mapping[str, SummaryEvaluation], documents: int) -> str:
    rows = [row for name, evaluation in evaluations.items() for row in _rows(name, evaluation)]
    return _CARD.format(documents=documents, rows="\n".join(rows))


def _rows(name: str, evaluation: SummaryEvaluation) -> list[str]:
    systems: list[tuple[str, Any]] = [("this model", evaluation.system), *evaluation.baselines.items()]
    start = f"| {name}, {evaluation.documents} documents, at most {evaluation.max_chars} characters"
    rows = []
    for system, scores in systems:
        over = evaluation.over.get(system)
        interval = "" if over is None else f"{over.mean:+.1f} ({over.low:+.1f} … {over.high:+.1f})"
        figures = f"{scores.rouge_1:.1f} / {scores.rouge_2:.1f} / {scores.rouge_l:.1f}"
        rows.append(f"{start} | {system} | {figures} | {scores.mean_chars:.0f} | {interval} |")
        start = "| "
    return rows


_CARD = """# The extractor for short and long summaries

Chooses clauses of a document: every summary is text of the document. For Chinese articles and news; it was trained on
computing articles in translation with their decks and on news about legal affairs with their summaries ({documents}
documents, some of them twice), so on other kinds of text expect less. It reads the first 128 clauses.
`title` has a model of its own.

Made by `python -m tasks.summarize.train_default_extract DATA_DIRECTORY`. Data: `tech_lctt` (LCTT/TranslateProject,
Apache-2.0) and `legal_news` (open-compass/LawBench, Apache-2.0; CSHaitao/LexEval, MIT), their train parts.

Figures on the dev parts, per cent: clipped character ROUGE-1 / 2 / L, F1. `lead` and `textrank` had the same limit, and
`…_same_length` at most as many characters as this model used for the same document. The last column is how much more
ROUGE-L this model has, with a 95 % interval by a paired bootstrap. The best epoch and the sharpness of the choice were
chosen on these same dev parts: expect a little less elsewhere. What it takes for granted of texts of one paragraph, as
news stories are (the beginning counts, a summary neither begins with a source nor ends within a sentence if it can be
helped), was chosen on the train part.

| data | system | ROUGE-1 / 2 / L | characters | more ROUGE-L |
|---|---|---|---:|---:|
{rows}
"""


if __name__ == "__main__":
    main()
