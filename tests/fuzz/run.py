"""`make fuzz`: at least a hundred thousand bad files through the mill, a summary, and every finding as a file.

`--only N` judges one input again, `--batch N` one batch, `--screen N` one directory; with the `--seed` of the summary.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from tests.fuzz.batches import BATCH_INPUTS, Failure, judge_batch, judge_batches
from tests.fuzz.crew import Findings, batches_of, judge_all
from tests.fuzz.mill import fuzzed_mill
from tests.fuzz.screen import check_screen
from tests.fuzz.seeded import SeededChoices, input_of, judge_number

#: Inputs of `make fuzz`.
INPUTS = 100_000
#: Directories that `hanmill run` is given as a process of its own.
SCREENS = 8
FIGURES = ("inputs", "documents", "dead", "refused", "confirmed")


def say(text: str) -> None:
    """Write a line to standard output."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for and return the exit code: 0 when every promise was kept."""
    asked = _parsed(arguments)
    folder = Path(tempfile.mkdtemp(prefix="hanmill-fuzz-"))
    try:
        if asked.only is not None:
            _, judged = judge_number(asked.seed, asked.only, folder)
            say(str(judged))
            return 0
        if asked.batch is not None:
            return _judge_again(asked.seed, asked.batch, folder)
        if asked.screen is not None:
            _check_screen(asked.seed, asked.screen, folder)
            return 0
        return _judge_many(asked, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run", description=__doc__)
    parser.add_argument("--inputs", type=int, default=INPUTS)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--limit-s", type=float, default=1500.0, help="seconds after which it ends, done or not")
    parser.add_argument("--screens", type=int, default=SCREENS, help="directories given to `hanmill run`")
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"), help="where bad files are kept")
    parser.add_argument("--only", type=int, help="judge one input of the seed again")
    parser.add_argument("--batch", type=int, help="judge one batch of the seed again")
    parser.add_argument("--screen", type=int, help="give one directory of the seed to `hanmill run` again")
    return parser.parse_args(arguments)


def _judge_again(seed: int, batch: int, folder: Path) -> int:
    with fuzzed_mill(folder / "home", "") as mill:
        told = judge_batch(mill, seed, batch, folder / "batch", lambda _: None)
    for failure in told.failures:
        say(failure.report)
    return bool(told.failures)


def _check_screen(seed: int, number: int, folder: Path) -> None:
    # Numbers below those of all batches.
    check_screen(SeededChoices.of(seed, -1_000_000 - number), folder / f"screen{number}")


def _judge_many(asked: argparse.Namespace, folder: Path) -> int:
    say(f"seed {asked.seed}: {asked.inputs:,} inputs in {asked.processes} processes")
    batches = batches_of(asked.inputs)
    findings = judge_all(judge_batches, asked.seed, batches, asked.processes, asked.limit_s, folder)
    for number in range(asked.screens):
        try:
            _check_screen(asked.seed, number, folder)
        except AssertionError as error:
            findings.failures.append(Failure(number, 0, str(error)))
    print_summary(findings, asked.screens, sys.stdout)
    for failure in findings.failures:
        _keep(failure, asked.seed, asked.findings)
    if findings.batches < len(batches):
        say(f"the time was up, or processes died: {findings.batches:,} of {len(batches):,} batches were judged")
    return bool(findings.failures) or findings.batches < len(batches)


def print_summary(findings: Findings, screens: int, out: TextIO) -> None:
    """Print a line for each format, what the mill made of all of them, and how many promises were broken."""
    figures = findings.figures
    formats = sorted({format_ for format_, _ in figures} - {"mill"})
    print(f"{'format':10}" + "".join(f"{name:>12}" for name in FIGURES), file=out)
    for format_ in formats:
        print(f"{format_:10}" + "".join(f"{figures[format_, name]:>12,}" for name in FIGURES), file=out)
    totals = {name: sum(figures[format_, name] for format_ in formats) for name in FIGURES}
    print(f"{'all':10}" + "".join(f"{totals[name]:>12,}" for name in FIGURES), file=out)
    mill = {name: figures["mill", name] for name in ("documents", "dead", "shards")}
    print(
        f"{findings.batches:,} jobs counted them: {mill['documents']:,} documents in, {mill['dead']:,} dead letters, "
        f"{mill['shards']:,} shards; {screens} directories went through `hanmill run`\n"
        f"{len(findings.failures)} promises broken in {totals['inputs']:,} inputs, {findings.elapsed_s:,.0f} s",
        file=out,
    )


def _keep(failure: Failure, seed: int, folder: Path) -> None:
    """Write a finding down: the file itself, what went wrong, and how it is run again."""
    folder.mkdir(parents=True, exist_ok=True)
    if failure.inputs == 1:
        given = input_of(seed, failure.number)
        path = folder / f"{seed}-{failure.number}-{given.name}"
        path.write_bytes(given.data)
        again = f"python -m tests.fuzz.run --seed {seed} --only {failure.number}"
        about = f"{given.listing}\n{given.container}, standard input: {given.is_stdin}\n"
    else:
        # No file of its own: a batch, or a directory that `hanmill run` was given.
        kind, number = ("batch", failure.number // BATCH_INPUTS) if failure.inputs else ("screen", failure.number)
        path = folder / f"{seed}-{kind}-{number}"
        again = f"python -m tests.fuzz.run --seed {seed} --{kind} {number}"
        about = ""
    path.with_name(f"{path.name}.report").write_text(f"{again}\n{about}{failure.report}\n", encoding="utf-8")
    say(f"{path}.report: {failure.report.strip().splitlines()[-1]}\n  again: {again}")


if __name__ == "__main__":
    sys.exit(main())
