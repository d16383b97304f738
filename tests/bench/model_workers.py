"""A model operation from a file to rows in SQL by `hanmill run`, beside the bare model on the same texts.

    python -m tests.bench.model_workers summarize --documents 6000
    python -m tests.bench.model_workers classify --documents 40000

Prints documents a second of the whole job (the start of Redis, workers and PyTorch included), of the model worker's
runs (read, encoded, computed, written; the loading of the model aside), and of the bare loop in one process that
encodes, computes the same batches and makes the results; and the padding that sorting by length leaves beside that of
the file's order. Asserts nothing.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from storage.engine import open_engine, reading
from storage.schema import batch_runs
from tasks.nn.batch_runner import warm_up
from tasks.nn.token_batches import BatchStatistics, cut_batches
from tests.bench.whole_job import describe_run
from tests.support.availability import REPOSITORY, find_test_data
from tests.support.reference import texts_of
from workers.device import choose_device

#: What each operation is measured on: abstracts, and sentences.
SETS = {"summarize": "csl_titles", "classify": "case_elements"}


def main() -> None:
    """Run both sides and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("operation", choices=sorted(SETS))
    parser.add_argument("--documents", type=int, default=5000)
    parser.add_argument("--model", help="a model directory; default: the one that comes along")
    options = parser.parse_args()
    data = find_test_data()
    if data is None:
        sys.exit("set HANMILL_TEST_DATA to the directory of the test texts")
    folder = Path(tempfile.mkdtemp(prefix="hanmill-bench-"))
    try:
        texts = _texts(data / SETS[options.operation], options.documents)
        mill = _run_mill(folder, options.operation, texts, options.model)
        bare = _run_bare(options.operation, texts, options.model)
        ratio = round(mill["run_documents_per_s"] / bare["loop_documents_per_s"], 3)
        result = {**describe_run(), "documents": len(texts), "hanmill": mill, "bare": bare, "run_to_bare": ratio}
        print(json.dumps(result, indent=2, ensure_ascii=False))  # noqa: T201 - the result of a benchmark
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _texts(folder: Path, documents: int) -> list[str]:
    """Return so many texts, each another one: what comes round again has a number behind it."""
    found = list(texts_of(folder / "train.jsonl.gz"))
    return [f"{text}{number // len(found) or ''}" for number, text in enumerate(islice(cycle(found), documents))]


def _run_mill(folder: Path, operation: str, texts: list[str], model: str | None) -> dict[str, Any]:
    corpus = folder / "corpus.jsonl"
    corpus.write_text("".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts), "utf-8")
    command = [sys.executable, "-m", "workers.cli.main", "run", str(corpus), "--corpus", "c", "--do", operation]
    command += ["--format", "json", *(["--model", model] if model else [])]
    environment = {"HANMILL_HOME": str(folder / "home"), "PATH": "/usr/bin:/bin"}
    started = time.perf_counter()
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, check=True, capture_output=True, text=True)
    wall_s = time.perf_counter() - started
    (job,) = json.loads(done.stdout)["jobs"]
    engine = open_engine(f"sqlite:///{folder / 'home' / 'hanmill.db'}")
    with reading(engine) as connection:
        runs = connection.execute(batch_runs.select()).mappings().all()
    engine.dispose()
    elapsed_s = sum(run["elapsed_s"] for run in runs)
    tokens, padded = sum(run["tokens"] for run in runs), sum(run["padded_tokens"] for run in runs)
    return {
        "wall_s": round(wall_s, 1),
        "job_s": job["elapsed_s"],
        "job_documents_per_s": round(len(texts) / job["elapsed_s"]),
        "runs": len(runs),
        "run_documents_per_s": round(len(texts) / elapsed_s),
        "waiting_share": round(sum(run["waiting_s"] for run in runs) / elapsed_s, 3),
        "writing_share": round(sum(run["writing_s"] for run in runs) / elapsed_s, 3),
        "padding_waste": round(1 - tokens / padded, 4) if padded else 0.0,
        "token_budget": runs[-1]["token_budget"],
    }


def _run_bare(operation: str, texts: list[str], model: str | None) -> dict[str, Any]:
    device = choose_device("auto")
    backend = _load(operation, model, device)
    runner = warm_up(backend, device)
    started = time.perf_counter()
    by_text = [backend.windows(text) for text in texts]
    windows = [window for of_text in by_text for window in of_text]
    encoding_s = time.perf_counter() - started
    lengths = [window.length for window in windows]
    started = time.perf_counter()
    outputs: dict[int, Any] = {}
    for batch in cut_batches(lengths, runner.token_budget):
        outputs.update(zip(batch, backend.forward([windows[index] for index in batch]), strict=True))
    forward_s = time.perf_counter() - started
    started = time.perf_counter()
    coming = (outputs[place] for place in range(len(windows)))
    for text, of_text in zip(texts, by_text, strict=True):
        backend.result(text, of_text, [next(coming) for _ in of_text])
    result_s = time.perf_counter() - started
    return {
        "encoding_s": round(encoding_s, 2),
        "forward_s": round(forward_s, 2),
        "forward_documents_per_s": round(len(texts) / forward_s),
        "result_s": round(result_s, 2),
        "loop_documents_per_s": round(len(texts) / (encoding_s + forward_s + result_s)),
        "padding_waste_in_file_order_32": round(_waste_in_order(lengths, 32), 4),
    }


def _load(operation: str, model: str | None, device: str) -> Any:
    import torch  # noqa: PLC0415 - slow

    if operation == "classify":
        from tasks.classify.backends import load_classifier  # noqa: PLC0415
        from tasks.classify.operation import DEFAULT  # noqa: PLC0415

        return load_classifier(Path(model) if model else DEFAULT, device, torch.float32)
    from tasks.summarize.backends import load_summarizer  # noqa: PLC0415
    from tasks.summarize.operation import DEFAULT_TITLE  # noqa: PLC0415

    return load_summarizer(
        Path(model) if model else DEFAULT_TITLE, device, torch.float32, length="title", max_chars=None
    )


def _waste_in_order(lengths: list[int], windows: int) -> float:
    statistics = BatchStatistics()
    for start in range(0, len(lengths), windows):
        statistics.add(lengths[start : start + windows], 1, 0.0)
    return statistics.padding_waste


if __name__ == "__main__":
    main()
