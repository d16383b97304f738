"""What `hanmill evaluate` prints about a summarizer: ROUGE and BLEU, how summaries are made, and what they invent."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage.errors import UsageError
from workers.cli.options import Length, OutputFormat
from workers.cli.output import Column, note, print_json, print_rows, print_table

if TYPE_CHECKING:
    from tasks.summarize.evaluate import OnProgress

SCORES = ("rouge_1", "rouge_2", "rouge_l", "bleu", "mean_chars", "empty")
#: JSON and CSV have these too.
MORE_SCORES = ("bleu_corpus", "rouge_1_published", "rouge_2_published", "rouge_l_published")
MADE = ("repeated", "coverage", "density", "novel_1", "novel_2", "novel_3", "novel_4")
KINDS = ("numbers", "dates", "names")
CLAIMS = tuple(f"{share}{kind}" for kind in KINDS for share in ("", "invented_", "faithful_"))


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command was asked for."""

    directory: Path
    data: Path
    target_field: str | None
    length: Length
    max_chars: int | None
    device: str
    faithful: bool
    worst: int


def evaluated(asked: Asked) -> dict[str, Any]:
    """Return the evaluation as JSON has it; raises `UsageError`."""
    from tasks.nn.devices import dtype_for
    from tasks.nn.model_directory import ModelDirectoryError
    from tasks.summarize.backends import load_summarizer
    from tasks.summarize.evaluate import evaluate_summarizer
    from tasks.summarize.summary import length_named
    from tasks.summarize.training_data import TrainingDataError, read_pairs

    length, max_chars = length_named(asked.length.value), asked.max_chars
    try:
        pairs = read_pairs(asked.data, asked.target_field)
        backend = load_summarizer(
            asked.directory,
            asked.device,
            dtype_for(asked.device),
            length=length,
            max_chars=max_chars,
            faithful=asked.faithful,
        )
    except (TrainingDataError, ModelDirectoryError) as error:
        raise UsageError(str(error)) from error
    with _progress() as tell:
        return evaluate_summarizer(
            backend,
            pairs,
            length=length,
            max_chars=max_chars,
            thorough=True,
            worst=asked.worst,
            on_progress=tell,
        ).as_dict()


def print_evaluation(found: Mapping[str, Any], output: OutputFormat) -> None:
    """Print it: everything as JSON, a line for each system as CSV, three tables for people."""
    if output is OutputFormat.JSON:
        print_json(found)
        return
    rows = [
        _row("model", found["system"]),
        *(_row(name, scores) for name, scores in found["baselines"].items()),
        _row("oracle", found["oracle"]),
        {"system": "reference", "mean_chars": found["mean_target_chars"], **found["reference"]},
    ]
    if output is OutputFormat.CSV:
        fields = ("system", *SCORES, *MORE_SCORES, *MADE, *CLAIMS)
        print_rows([{field: row.get(field) for field in fields} for row in rows], (), output)
        return
    print_table(rows, _columns(SCORES))
    print_table(rows, _columns(MADE), "How they are made of their documents (density in characters, the others %):")
    print_table(rows, _columns(CLAIMS), "What they say that can be looked up, how much is not in the document, and %:")
    _print_worst(found["worst"])


def _row(name: str, scores: Mapping[str, Any]) -> dict[str, Any]:
    return {"system": name, **scores, **scores["measures"]}


def _columns(fields: Sequence[str]) -> tuple[Column, ...]:
    return (Column("system"), *(Column(field, _title(field), right=True) for field in fields))


def _title(field: str) -> str:
    return "invented" if field.startswith("invented_") else "%" if field.startswith("faithful_") else field


def _print_worst(cases: Sequence[Mapping[str, Any]]) -> None:
    if not cases:
        note("the model invented no number, date or name")
        return
    rows = [{**case, **{kind: " ".join(case[kind]) for kind in KINDS}} for case in cases]
    columns = (Column("document", right=True), *(Column(kind) for kind in KINDS), Column("summary"))
    print_table(rows, columns, "What the model invented, the worst first:")


@contextmanager
def _progress() -> Iterator[OnProgress]:
    """Give what tells how far an evaluation is: a bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("summaries", total=None)
        yield lambda stage, done, total: bars.update(task, description=stage, completed=done, total=total)
