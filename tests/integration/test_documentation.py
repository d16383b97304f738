"""The pages in docs/ do what they say: every command is typed as it stands, every output is what came out."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.availability import REPOSITORY, need_module
from tests.support.documented_commands import SOMETHING, Terminal, agrees, blocks_of, parse_console

#: Three texts that say nearly the same, and one that does not.
NEWS = (
    "".join(
        f'{{"id": "{key}", "text": "记者今天从北京市有关部门了解到，本市将继续推进公园建设，方便市民出行{end}"}}\n'
        for key, end in (("a", "。"), ("b", "！"), ("c", "。"))
    )
    + '{"id": "d", "text": "上海明天有雨。"}\n'
)
#: The pages whose commands are run, with the files that they speak of and do not make.
PAGES = {
    "docs/how-to/own-dictionary.md": {
        "reports.jsonl": '{"id": "r1", "text": "区块链技术服务碳达峰目标"}\n{"id": "r2", "text": "技术与服务"}\n',
        "terms.txt": "区块链技术\n碳达峰 20000 n\n宋江 5000 nr\n",
    },
    "docs/how-to/every-night.md": {"news/a.txt": "今天天气很好。"},
    "docs/how-to/compare.md": {},
    "docs/how-to/new-words.md": {},
    "docs/how-to/near-duplicates.md": {"news.jsonl": NEWS},
}
#: Between the outputs of a page's blocks of Python.
MARK = "----8<----"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Terminal:
    """Return a terminal in a directory that looks like a checkout."""
    (tmp_path / "tests").symlink_to(REPOSITORY / "tests")
    return Terminal(monkeypatch, tmp_path)


def write(directory: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(text, encoding="utf-8")


def follow(page: str, terminal: Terminal) -> None:
    """Do what a page says, from its first line to its last, and compare what comes out."""
    blocks = list(blocks_of(page))
    shown_after = [body if language == "text" else None for language, body in blocks[1:]] + [None]
    programs: list[tuple[str, str | None]] = []
    for (language, body), shown in zip(blocks, shown_after, strict=True):
        if language == "console":
            for typed in parse_console(page, body):
                done = terminal.type(typed.command)
                assert done.exit_code in {0, 3}, f"{typed}\n{done.output}"
                assert agrees(typed.shown or "", done.output), f"{typed}\n{done.output}"
        elif language == "sql" and shown is not None:
            assert agrees(shown, "\n".join(queried(body))), f"{page}: {body}"
        elif language == "python":
            programs.append((body, shown))
    run_programs(page, programs)


def queried(statement: str) -> Iterator[str]:
    with closing(sqlite3.connect(".hanmill/hanmill.db")) as connection:
        for row in connection.execute(statement):
            yield "|".join(map(str, row))


def run_programs(page: str, programs: list[tuple[str, str | None]]) -> None:
    """Run the blocks of Python of a page as one program, and compare what each prints."""
    if not programs:
        return
    program = f"\nprint('{MARK}')\n".join(body for body, _ in programs)
    done = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    for (body, shown), came in zip(programs, done.stdout.split(f"{MARK}\n"), strict=True):
        assert agrees(shown or "", came), f"{page}:\n{body}\n{came}"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_tutorial_leads_where_it_says(terminal: Terminal) -> None:
    need_module("torch")
    follow("docs/tutorial.md", terminal)


@pytest.mark.parametrize("page", PAGES)
def test_a_how_to_page_does_what_it_says(page: str, terminal: Terminal, tmp_path: Path) -> None:
    write(tmp_path, PAGES[page])
    follow(page, terminal)


def test_the_queries_by_duckdb_and_pandas_give_what_is_shown(terminal: Terminal) -> None:
    need_module("duckdb")
    need_module("pandas")
    follow("docs/how-to/query-with-duckdb.md", terminal)


def test_every_page_with_a_terminal_on_it_is_followed() -> None:
    pages = {str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "docs").rglob("*.md")}
    with_terminal = {page for page in pages if any(language == "console" for language, _ in blocks_of(page))}
    assert with_terminal == {*PAGES, "docs/tutorial.md", "docs/how-to/query-with-duckdb.md"}


def test_every_page_stands_in_the_list_of_pages() -> None:
    docs = REPOSITORY / "docs"
    pages = {str(path.relative_to(docs)) for path in docs.rglob("*.md")} - {"README.md"}
    listed = (docs / "README.md").read_text(encoding="utf-8")
    assert [page for page in sorted(pages) if f"({page})" not in listed] == []


def test_an_output_agrees_where_only_times_and_places_differ() -> None:
    shown = f"job  elapsed\n  1  4.0 s\n{SOMETHING}\n/home/me/tests/samples/a.txt  … (3)\n"
    assert agrees(shown, "job elapsed\n  1  12.5 s\nmore\nand more\n/x/tests/samples/a.txt  a / b (3)\n")
    assert agrees(shown, "job elapsed\n  1  12.5 s\n/x/tests/samples/a.txt  a / b (3)\n")
    assert not agrees(shown, "job elapsed\n  2  12.5 s\n/x/tests/samples/a.txt  a / b (3)\n")
    assert not agrees(shown, "job elapsed\n  1  12.5 s\n/x/tests/samples/a.txt  a / b (4)\n")
