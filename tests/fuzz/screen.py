"""What a user sees who gives `hanmill run` a directory of bad files: its exit code and its screen."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from storage.sources import BadRecord, Format, ListingOptions
from tests.fuzz.bad_input import ENCODINGS, KEY_FIELDS, Choices, bad_file
from tests.fuzz.checks import judge

#: Files in a directory.
FILES = 60
#: Seconds that a run may take before it hangs.
LIMIT_S = 100


def check_screen(choices: Choices, folder: Path) -> None:
    """Run a directory of files that can be read, and then the refused ones; raises `AssertionError`."""
    good, refused = folder / "good", folder / "refused"
    documents = dead = 0
    formats, listing = _asked(choices)
    for number in range(FILES):
        given = replace(bad_file(choices, choices.choose(formats), listing), is_stdin=False)
        judged = judge(choices, given, folder / "judged")
        shutil.rmtree(folder / "judged", ignore_errors=True)
        # Where there are no keys in the files, two with the same name are two all the same.
        target = (refused if judged.refusal else good) / str(number) / given.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(given.data)
        documents += len(judged.found)
        dead += sum(isinstance(item, BadRecord) for item in judged.found)
    if good.exists():
        _check_run(good, _options(listing), documents, dead)
    if refused.exists():
        done = _run(refused, _options(listing))
        assert done.returncode == 2, (done.returncode, done.stderr)
        assert str(refused) in done.stderr
    shutil.rmtree(folder, ignore_errors=True)


def _asked(choices: Choices) -> tuple[Sequence[Format], ListingOptions]:
    """Return formats that may lie in one directory, and what its user asks for."""
    encoding = choices.choose(ENCODINGS)
    kind = choices.choose(("lines", "thucnews", "mixed", "mixed"))
    if kind == "lines":
        return ["lines"], ListingOptions(lines=True, encoding=encoding)
    if kind == "thucnews":
        return ["thucnews"], ListingOptions(layout="thucnews", encoding=encoding)
    text_field, key_field = choices.choose(("text", "正文")), choices.choose(KEY_FIELDS)
    listing = ListingOptions(encoding=encoding, text_field=text_field, key_field=key_field)
    return ["jsonl", "csv", "tsv", "txt", "parquet"], listing


def _options(listing: ListingOptions) -> list[str]:
    """Return what its user types."""
    options = ["--encoding", listing.encoding]
    if listing.lines:
        return [*options, "--lines"]
    if listing.layout:
        return [*options, "--layout", listing.layout]
    keys = ["--key-field", listing.key_field] if listing.key_field else []
    return [*options, "--text-field", listing.text_field, *keys]


def _check_run(folder: Path, options: Sequence[str], documents: int, dead: int) -> None:
    done = _run(folder, options)
    assert done.returncode == (3 if dead else 0), (done.returncode, done.stderr)
    (job,) = json.loads(done.stdout)["jobs"]
    assert (job["documents"], job["dead"]) == (documents, dead), (job, documents, dead)


def _run(folder: Path, options: Sequence[str]) -> subprocess.CompletedProcess[str]:
    home = tempfile.mkdtemp(prefix="hm-")
    command = [sys.executable, "-m", "workers.cli.main", "run", str(folder), "--corpus", "坏", "--format", "json"]
    environment = {**os.environ, "HANMILL_HOME": home}
    try:
        done = subprocess.run(
            [*command, *options, "--workers", "1", "--shard-bytes", "500"],
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_S,
            env=environment,
        )
    except subprocess.TimeoutExpired as error:
        message = f"hanmill run {folder} does not end: {error.stderr!r}"
        raise AssertionError(message) from error
    finally:
        shutil.rmtree(home, ignore_errors=True)
    assert "Traceback" not in done.stderr, done.stderr
    return done
