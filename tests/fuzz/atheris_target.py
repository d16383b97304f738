"""The readers as a target of atheris: bytes that reach new code are kept and changed further. Linux only.

`python -m tests.fuzz.atheris_target -max_total_time=60 [CORPUS_DIRECTORY]`, with any option of libFuzzer. What breaks a
promise is written to `crash-*`; the same command with its name runs it again.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import atheris

with atheris.instrument_imports(include=["storage.sources"]):
    from tests.fuzz.bad_input import bad_input, raw_input
    from tests.fuzz.checks import judge

Item = TypeVar("Item")
#: Bytes kept back for what is decided after the content.
KEPT_BYTES = 16
FOLDER = Path(tempfile.mkdtemp(prefix="hanmill-atheris-"))


class FuzzedChoices:
    """Decisions taken from the fuzzer's bytes."""

    def __init__(self, data: bytes) -> None:
        self._provider: Any = atheris.FuzzedDataProvider(data)

    def integer(self, low: int, high: int) -> int:
        """Return a number from `low` to `high`, both included."""
        return int(self._provider.ConsumeIntInRange(low, high))

    def choose(self, items: Sequence[Item]) -> Item:
        """Return one of some items."""
        return items[self.integer(0, len(items) - 1)]

    def rest(self) -> bytes:
        """Return most of the bytes that nothing was decided by."""
        size_bytes = self._provider.remaining_bytes() - KEPT_BYTES
        return bytes(self._provider.ConsumeBytes(max(0, size_bytes)))


def judge_bytes(data: bytes) -> None:
    """Make a file of the fuzzer's bytes and judge it: half of them decide what is written, half are what is written."""
    choices = FuzzedChoices(data)
    given = bad_input(choices) if choices.integer(0, 1) else raw_input(choices, choices.rest())
    try:
        judge(choices, given, FOLDER / "file")
    finally:
        shutil.rmtree(FOLDER / "file", ignore_errors=True)


def main() -> None:
    """Fuzz until libFuzzer's own options say that it is enough."""
    # Short inputs decide nothing: every choice behind their end is the first one.
    atheris.Setup([sys.argv[0], "-len_control=0", "-max_len=2048", *sys.argv[1:]], judge_bytes)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
