"""The memory that a process may take, in a process of its own: a limit cannot be taken back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from storage.errors import UsageError
from tests.support.availability import REPOSITORY
from workers import memory_limit
from workers.settings import load_settings

PROGRAM = """
import signal
from billiard.pool import soft_timeout_sighandler
from workers.memory_limit import limit_memory
if {in_pool}:
    signal.signal(signal.SIGUSR1, soft_timeout_sighandler)
limit_memory(1 << 30)
try:
    bytes(2 << 30)
except MemoryError:
    print("refused")
else:
    print("given")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds the limit of data for all that is mapped")
@pytest.mark.parametrize(("in_pool", "answer"), [(True, "refused"), (False, "given")])
def test_more_memory_than_a_process_of_a_pool_may_have_is_an_error_there(in_pool: bool, answer: str) -> None:
    command = [sys.executable, "-c", PROGRAM.format(in_pool=in_pool)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == answer


def test_a_limit_in_which_no_process_can_count_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANMILL_PROCESS_MEMORY_BYTES", "1000000")
    with pytest.raises(UsageError, match=r"HANMILL_PROCESS_MEMORY_BYTES=1000000: .*at least 536,870,912 bytes"):
        load_settings()


def test_a_container_that_has_less_than_its_machine_is_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited, unlimited = tmp_path / "memory.max", tmp_path / "unlimited"
    limited.write_text("1048576\n", encoding="ascii")
    unlimited.write_text("max\n", encoding="ascii")
    monkeypatch.setattr(memory_limit, "_LIMIT_FILES", (tmp_path / "absent", unlimited))
    machine = memory_limit.available_bytes()
    assert machine > 1048576
    monkeypatch.setattr(memory_limit, "_LIMIT_FILES", (unlimited, limited))
    assert memory_limit.available_bytes() == 1048576
