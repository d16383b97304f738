"""Makes the classifier that comes with the program: the 13 categories of CSL, from titles and abstracts.

Run as `python -m tasks.classify.train_default DATA`, DATA being the directory that holds `csl`. The figures of the card
are those that `evaluate.py` computes on the dev part, after the model was written and loaded again.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tasks.classify.evaluate import evaluate_classifier
from tasks.classify.label_set import label_set_of
from tasks.classify.operation import DEFAULT
from tasks.classify.text_cnn_backend import open_text_cnn
from tasks.classify.train import STATE, train_classifier
from tasks.classify.training_batches import TrainOptions
from tasks.classify.training_data import LabelledTexts
from tasks.nn.model_directory import CARD, METRICS

NAME, VERSION = "csl-categories", "1"
#: One title of so many is kept apart, beside the abstracts of the dev part, to choose the best epoch by.
TITLES_APART = 10
#: Smaller than a user's own: the weights are to stay below 6 MB.
OPTIONS = TrainOptions(most_n_grams=25_000, most_pieces=5_000, separator_cost=1.0)

CARD_TEXT = """\
# The classifier that comes along: categories of science

It says to which of the 13 categories of CSL (Li et al., COLING 2022) a Chinese scientific text belongs.
农学, 医学, 历史学, 哲学, 工学, 教育学, 文学, 法学, 理学, 管理学, 经济学, 艺术学 and 军事学 are its only labels.
It was made for titles and abstracts of papers. A text that is no science (news, a story, a chat) gets the category
whose words it shares, or none; its probabilities mean nothing there. For labels of one's own:

    hanmill train classifier TRAIN --dev DEV --to DIR

Trained from scratch on {texts:,} titles and abstracts of the sets `csl/train` and `csl/titles_train` (CSL,
Apache-2.0) by `python -m tasks.classify.train_default DATA`: a convolution over characters and linear separators over
their n-grams. No other data went in. A label is decided when its logit is above 0; none may be. Probabilities are
calibrated on texts kept apart.

Per cent, on `csl/dev`, of which nothing was trained or chosen; macro is the mean over all 13 labels. The baseline was
fitted on the same texts in the same run.

| texts | number | micro F1 | macro F1 | precision at 1 | |
|---|---:|---:|---:|---:|---|
{rows}
"""


def main() -> None:
    """Train, measure, and write the card."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("data", type=Path)
    arguments.add_argument("--to", type=Path, default=DEFAULT)
    given = arguments.parse_args()
    print(make(given.data / "csl", given.to))  # noqa: T201 - a command


def make(csl: Path, directory: Path) -> dict[str, Any]:
    """Train the model from the directory `csl` and write it; return the figures of its card."""
    abstracts, dev_abstracts = _papers(csl / "train.jsonl.gz", "text"), _papers(csl / "dev.jsonl.gz", "text")
    own_titles, dev_titles = _papers(csl / "train.jsonl.gz", "title"), _papers(csl / "dev.jsonl.gz", "title")
    titles, apart = _titles(csl / "titles_train.jsonl.gz").split(TITLES_APART)
    train = _joined([abstracts, own_titles, titles])
    label_set = label_set_of(NAME, VERSION, train.labels)
    # The dev part proper is small and chooses nothing: abstracts of the train part stand in for it beside the titles.
    train_abstracts, apart_abstracts = abstracts.split(TITLES_APART)
    train = _joined([train_abstracts, own_titles.split(TITLES_APART)[0], titles])
    train_classifier(train, _joined([apart_abstracts, apart]), directory, OPTIONS, label_set=label_set)
    shutil.rmtree(directory / STATE, ignore_errors=True)
    backend = open_text_cnn(directory)
    figures = {
        "abstracts": evaluate_classifier(backend, dev_abstracts, train).figures,
        "titles": evaluate_classifier(backend, dev_titles, train).figures,
    }
    (directory / METRICS).write_text(json.dumps(figures, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    (directory / CARD).write_text(_card(figures, len(train)), encoding="utf-8")
    return figures


def _records(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        yield from map(json.loads, stream)


def _papers(path: Path, field: str) -> LabelledTexts:
    records = list(_records(path))
    return LabelledTexts([record[field] for record in records], [[record["category"]] for record in records])


def _titles(path: Path) -> LabelledTexts:
    records = list(_records(path))
    return LabelledTexts([record["text"] for record in records], [record["labels"] for record in records])


def _joined(parts: Sequence[LabelledTexts]) -> LabelledTexts:
    return LabelledTexts(
        [text for part in parts for text in part.texts], [names for part in parts for names in part.labels]
    )


def _card(figures: dict[str, Any], texts: int) -> str:
    rows = [
        f"| {name} | {of['texts']} | {of[system]['micro_f1']} | {of[system]['macro_f1']} "
        f"| {of[system]['precision_at_1']} | {'this model' if system == 'model' else of[system]['name']} |"
        for name, of in figures.items()
        for system in ("model", "baseline")
    ]
    return CARD_TEXT.format(texts=texts, rows="\n".join(rows))


if __name__ == "__main__":
    main()
