"""Small files that are large inside: they are read in bounded memory, and told of."""

from __future__ import annotations

import bz2
import gzip
import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pytest
import zstandard

from tests.support.availability import REPOSITORY

#: Bytes of each file when it is unpacked.
UNPACKED_BYTES = 200 * 1024**2
#: Bytes that reading one may take, beside what the program takes anyhow: sixteen for the largest record, and some
#: steps of it on the way.
MOST_BYTES = 120 * 1024**2
PACKERS: dict[str, Callable[[IO[bytes]], Any]] = {
    "gz": lambda file: gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1),
    "bz2": lambda file: bz2.BZ2File(file, "wb"),
    "zst": lambda file: zstandard.ZstdCompressor(1).stream_writer(file, closefd=False),
}
#: Reads a file as a worker does; prints the reasons, and how far the memory grew.
READER = """
import resource, sys
from storage.sources import ReaderOptions, read
def peak_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
list(read(sys.argv[4], ReaderOptions(sys.argv[2], sys.argv[3])))
before = peak_bytes()
found = [item.reason for item in read(sys.argv[1], ReaderOptions(sys.argv[2], sys.argv[3]))]
print(*found, peak_bytes() - before)
"""


def zeros(packer: str, size_bytes: int) -> bytes:
    out = io.BytesIO()
    with PACKERS[packer](out) as file:
        for _ in range(size_bytes // 1024**2):
            file.write(b"\0" * 1024**2)
    return out.getvalue()


@pytest.mark.skipif(sys.platform != "linux", reason="the memory of a process is measured in other units elsewhere")
@pytest.mark.parametrize("packer", PACKERS)
def test_two_hundred_megabytes_of_zeros_are_one_dead_letter_and_little_memory(tmp_path: Path, packer: str) -> None:
    bomb, small = tmp_path / f"bomb.{packer}", tmp_path / f"small.{packer}"
    bomb.write_bytes(zeros(packer, UNPACKED_BYTES))
    small.write_bytes(zeros(packer, 0))
    assert bomb.stat().st_size < UNPACKED_BYTES // 200
    for format_ in ("txt", "jsonl"):
        done = subprocess.run(
            [sys.executable, "-c", READER, str(bomb), format_, packer, str(small)],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=True,
            timeout=240,
        )
        reason, grown_bytes = done.stdout.split()
        assert reason == "too_long"
        assert int(grown_bytes) < MOST_BYTES
