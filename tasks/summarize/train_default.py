"""Makes the title model that comes with the package: `python -m tasks.summarize.train_default DATA DIRECTORY`.

DATA is a folder with the sets `csl_titles` and `csl` as JSON Lines. The card beside the weights says what the model was
trained on and what it came to on the dev part of `csl_titles`, measured from the weights as written.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from tasks.nn.fit import Epoch, FitReport
from tasks.nn.model_directory import CARD, METRICS, ModelDirectory
from tasks.summarize.evaluate import SummaryEvaluation, evaluate_summarizer
from tasks.summarize.span_backend import open_span
from tasks.summarize.train_span import STATE_FOLDER, train_span
from tasks.summarize.training_data import Pair, read_pairs

NAME = "csl-titles-span"
VERSION = "1"
#: Documents with titles, and titles alone.
TRAIN = ("csl_titles/train.jsonl.gz", "csl/train.jsonl.gz")
MORE_TITLES = "csl/titles_train.jsonl.gz"
DEV = "csl_titles/dev.jsonl.gz"

CARD_TEXT = """# {name}, version {version}

One line of a document as its title: a pointer at spans, {parameters:,} parameters, {megabytes:.1f} MB.

**Made by** `python -m tasks.summarize.train_default DATA DIRECTORY --seed {seed}`, {epochs} epochs,
{cpu_s:.0f} s of processor time.

**Trained on** abstracts of scientific papers with their titles: the CSL title task of CLGE ({train_documents:,}; MIT,
`SunnyGJing/t5-pegasus-chinese`) and CSL ({csl_documents:,} of its dev part; Apache-2.0, `ydli-ai/CSL`). Which pairs of
characters titles have was counted in {titles:,} other titles of CSL.

**Good for** scientific and technical prose, whose titles stand in the text nearly word for word. Titles of news and
essays often do not; train your own with `hanmill train summarizer DATA --to DIR`.

**Figures** on the {documents} dev documents of the title task, clipped character ROUGE (F1, per cent), computed from
these weights in one run with the baselines:

| | ROUGE-1 | ROUGE-2 | ROUGE-L | characters |
|---|---:|---:|---:|---:|
{rows}

ROUGE-L over clause TextRank: +{over:.1f} (95 % interval {low:.1f} to {high:.1f}, paired bootstrap). In the convention
of published tables the model has {published}.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, measure, and write the card."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=None, help="threads of PyTorch; by default as many as cores")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    parts = [read_pairs(options.data / name, "title") for name in TRAIN]
    dev = read_pairs(options.data / DEV, "title")
    titles = _texts(options.data / MORE_TITLES)
    train = [pair for part in parts for pair in part]
    started = time.process_time()
    model, report = train_span(
        train, dev, options.directory, seed=options.seed, name=NAME, version=VERSION, more_titles=titles, on_epoch=_tell
    )
    cpu_s = time.process_time() - started
    evaluation = evaluate_summarizer(open_span(model, "cpu", torch.float32, "title", None), dev)
    _write(model, report, evaluation, parts, len(titles), options.seed, cpu_s)
    shutil.rmtree(options.directory / STATE_FOLDER)
    return 0


def _texts(path: Path) -> list[str]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in lines]


def _tell(epoch: Epoch) -> None:
    sys.stderr.write(
        f"epoch {epoch.number}: loss {epoch.loss:.3f}, ROUGE-L {epoch.figure:.2f}, {epoch.seconds:.0f} s\n"
    )


def _write(
    model: ModelDirectory,
    report: FitReport,
    evaluation: SummaryEvaluation,
    parts: Sequence[Sequence[Pair]],
    titles: int,
    seed: int,
    cpu_s: float,
) -> None:
    """Write metrics and card; neither decides a result, so that the model's digest stays."""
    metrics = {**model.metrics, "evaluation": evaluation.as_dict()}
    text = json.dumps(metrics, ensure_ascii=False, indent=2) + "\n"
    (model.path / METRICS).write_text(text, encoding="utf-8")
    tensors = model.tensors()
    system, over = evaluation.system, evaluation.over["textrank"]
    named = {"this model": system, **evaluation.baselines}
    rows = [
        f"| {name} | {scores.rouge_1:.1f} | {scores.rouge_2:.1f} | {scores.rouge_l:.1f} | {scores.mean_chars:.1f} |"
        for name, scores in named.items()
    ]
    card = CARD_TEXT.format(
        name=NAME,
        version=VERSION,
        parameters=sum(tensor.numel() for key, tensor in tensors.items() if key.startswith("towers")),
        megabytes=(model.path / "model.safetensors").stat().st_size / 1e6,
        seed=seed,
        epochs=len(report.epochs),
        cpu_s=cpu_s,
        train_documents=len(parts[0]),
        csl_documents=len(parts[1]),
        titles=titles,
        documents=evaluation.documents,
        rows="\n".join(rows),
        over=over.mean,
        low=over.low,
        high=over.high,
        published=f"{system.rouge_1_published:.1f} / {system.rouge_2_published:.1f} / {system.rouge_l_published:.1f}",
    )
    (model.path / CARD).write_text(card, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
