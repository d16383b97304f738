"""A disk of a few megabytes that a test can fill and make room on. Needs root."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.support.availability import give_up

#: Bytes written at a time, down to the last free page.
BLOCK_BYTES = 65_536


class DiskMissingError(Exception):
    """No disk can be mounted here; the text says why."""


class SmallDisk:
    """A file system in memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def fill(self) -> None:
        """Take all room that is left."""
        with self._ballast.open("ab", buffering=0) as file:
            block = bytes(BLOCK_BYTES)
            while block:
                try:
                    # The last block may be taken in part.
                    file.write(block)
                except OSError:
                    block = block[: len(block) // 2]

    def refusal(self) -> str | None:
        """Return what is said to who wants to write one byte more; None when it is taken."""
        try:
            with self._ballast.open("ab", buffering=0) as file:
                file.write(b"0")
        except OSError as error:
            return str(error)
        return None

    def make_room(self) -> None:
        """Give back what `fill` has taken."""
        self._ballast.unlink()


@contextmanager
def small_disk(megabytes: int) -> Iterator[SmallDisk]:
    """Mount such a disk for the time of the context; the test is given up where that is not possible."""
    with ExitStack() as stack:
        try:
            disk = stack.enter_context(mounted_disk(megabytes))
        except DiskMissingError as error:
            give_up(str(error))
        yield disk


@contextmanager
def mounted_disk(megabytes: int) -> Iterator[SmallDisk]:
    """Mount such a disk for the time of the context; raises `DiskMissingError` where that is not possible."""
    if os.geteuid() != 0:
        message = "a small disk to fill can be mounted by root only"
        raise DiskMissingError(message)
    if shutil.which("mount") is None:
        message = "there is no program mount to make a small disk with"
        raise DiskMissingError(message)
    path = Path(tempfile.mkdtemp(prefix="hm-disk-"))
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755", "tmpfs", str(path)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        path.rmdir()
        message = "this kernel or container lets nobody mount a small disk to fill"
        raise DiskMissingError(message)
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)
        path.rmdir()
