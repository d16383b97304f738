"""The commands that a page of the documentation shows, and a terminal in which tests type them.

A block ```console holds what a terminal shows: lines that begin with `$ ` are typed, what follows is what comes out,
and a line `…` stands for any number of lines. A block ```sh holds commands alone.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from sqlalchemy import select
from typer.testing import CliRunner, Result

from storage.engine import reading
from storage.schema import shards
from storage.states import ShardState
from tests.support.availability import REPOSITORY
from tests.support.inline_mill import InlineMill
from tests.support.mill_results import shared_cache_dir
from workers.cli.main import MODULES, build_app
from workers.cli.session import Session

_BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<body>.*?)^```", re.MULTILINE | re.DOTALL)
#: Any number of lines of an output, or any characters of one.
SOMETHING = "…"
#: What is another at every run, or on every machine.
VARYING = {
    r"\b\d+(\.\d+)? (s|min|h)\b( \d+ s\b)?": "TIME",
    r"\b\d+(\.\d+)? [kMG]?B/s": "RATE",
    r"\d{4}-\d\d-\d\dT[\d:.]+[+\d:Z]*": "INSTANT",
    r"--seed \d+": "--seed N",
    r"\b[0-9a-f]{32,64}\b": "DIGEST",
    r"/\S*/tests/samples/": "/tests/samples/",
}


@dataclass(frozen=True, slots=True)
class Typed:
    """One command of a page, with what the page says comes out of it; None where it says nothing."""

    page: str
    command: str
    shown: str | None = None

    def __str__(self) -> str:
        """Return what a failed test is called by."""
        return f"{self.page}: {self.command}"


def blocks_of(page: str) -> Iterator[tuple[str, str]]:
    """Yield (language, text) of every block of code of a page, in their order."""
    for found in _BLOCK.finditer((REPOSITORY / page).read_text(encoding="utf-8")):
        yield found["language"], found["body"]


def parse_console(page: str, body: str) -> Iterator[Typed]:
    """Yield the commands of a terminal block with what comes out of each."""
    for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        yield Typed(page, command.strip(), shown)


def parse_shell(page: str, body: str) -> Iterator[Typed]:
    """Yield the commands of a block of commands, without comments, continued lines put together."""
    for line in body.replace("\\\n", " ").splitlines():
        command = re.sub(r"(?:^|\s)#.*", "", line).strip()
        if command:
            yield Typed(page, command)


def typed_in(page: str) -> Iterator[Typed]:
    """Yield every command of a page."""
    for language, body in blocks_of(page):
        if language in {"console", "sh"}:
            yield from (parse_console if language == "console" else parse_shell)(page, body)


def words_of(command: str) -> list[str]:
    """Return the words of a command line after settings such as `NAME=value` in front of it."""
    words = shlex.split(command, comments=True)
    while words and re.match(r"[A-Z_]+=", words[0]):
        del words[0]
    return words


class Terminal:
    """Types command lines of hanmill in this process; what `hanmill run` orders is done in it too, without servers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
        """Work in a directory, with nothing set."""
        monkeypatch.chdir(directory)
        monkeypatch.delenv("HANMILL_HOME", raising=False)
        monkeypatch.setenv("COLUMNS", "110")
        monkeypatch.setattr(Session, "_work", _work_inline)

    def type(self, command: str) -> Result:
        """Run one command line; `cat FILE | hanmill …` gives it the file by standard input."""
        before, _, line = command.rpartition("|")
        given = Path(shlex.split(before)[1]).read_text(encoding="utf-8") if before else None
        words = words_of(line)
        assert words[0] == "hanmill", command
        return CliRunner().invoke(build_app([MODULES[words[1]]]), words[1:], input=given, catch_exceptions=False)


def _work_inline(self: Session, job_ids: list[int], _workers: int, _display: object) -> None:
    mill = object.__new__(InlineMill)
    workplace = replace(self._parts.workplace, cache_dir=shared_cache_dir())
    mill.parts = replace(self._parts, workplace=workplace)
    queued = select(shards.c.id, shards.c.job_id).where(shards.c.state == ShardState.QUEUED).order_by(shards.c.id)
    with reading(self.engine) as connection:
        # What was published before there was a queue.
        mill.messages = [(shard_id, job_id) for shard_id, job_id in connection.execute(queued)]
    mill.work(*job_ids)


def agrees(shown: str, came: str) -> bool:
    """Say whether an output is what a page shows.

    A line `…` stands for any number of lines, `…` in a line for any characters; what differs from run to run and blanks
    between columns do not count.
    """
    pattern = "".join(
        r"(?:.*\n)*?" if line == SOMETHING else re.escape(line).replace(SOMETHING, ".*") + r"\n"
        for line in _lines(shown)
    )
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in _lines(came))) is not None


def _lines(text: str) -> list[str]:
    for varying, name in VARYING.items():
        text = re.sub(varying, name, text)
    return [re.sub(r" +", " ", line).strip() for line in text.strip("\n").splitlines()]
