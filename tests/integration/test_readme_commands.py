"""Every command that the two READMEs show is run as it stands there, on files like those that it names."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tests.support.availability import REPOSITORY
from tests.support.documented_commands import Terminal, Typed, typed_in, words_of

READMES = ("README.md", "README.zh.md")
#: What cannot be run without a server, another machine, a model or minutes of training, and the test that runs it:
#: whole command lines, or beginnings that end with a blank. The program's parser sees these too, see
#: tests/unit/test_readme.py.
RUN_ELSEWHERE = {
    "hanmill worker ": "tests/integration/test_cli_deployment.py",
    "hanmill submit ": "tests/integration/test_cli_deployment.py",
    "hanmill status 1 --watch": "tests/integration/test_cli_deployment.py",
    "hanmill schedule run ": "tests/integration/test_schedules.py",
    "hanmill run news/ --corpus news --do summarize": "tests/integration/test_documentation.py",
    "hanmill run news/ --corpus news --do summarize --length ": "tests/integration/test_cli_models.py",
    "hanmill run papers/ --corpus papers --do classify": "tests/integration/test_documentation.py",
    "hanmill run news/ --corpus news --do summarize --model ": "tests/integration/test_summary_options.py",
    "HANMILL_ENDPOINT_KEY=… hanmill run ": "tests/integration/test_served_models.py",
    "hanmill train classifier ": "tests/unit/workers/cli/test_train_classifier.py",
    "hanmill evaluate ": "tests/unit/workers/cli/test_train_classifier.py",
    "hanmill models add ": "tests/integration/test_cli_models.py",
    "hanmill run cases/ ": "tests/integration/test_cli_models.py",
    "hanmill export cases ": "tests/integration/test_cli_models.py",
}
NEWS = ["北京今天天气很好，市民纷纷出门。公园里游人很多。", "上海举行了新闻发布会，介绍了经济情况。记者提了许多问题。"]


def shown(readmes: tuple[str, ...] = READMES) -> list[Typed]:
    """Return every command line of hanmill in the READMEs, those of both once."""
    lines = {typed.command: typed for readme in readmes for typed in typed_in(readme)}
    return [typed for typed in lines.values() if words_of(typed.command.rpartition("|")[2])[0] == "hanmill"]


def elsewhere(typed: Typed) -> str | None:
    command = " ".join(typed.command.split())
    return next(
        (one for one in RUN_ELSEWHERE if command == one or (one.endswith(" ") and command.startswith(one))), None
    )


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Terminal:
    """Return a terminal in a directory with the files that the READMEs speak of."""

    def lines(texts: list[str], field: str = "text") -> str:
        return "".join(json.dumps({field: text}, ensure_ascii=False) + "\n" for text in texts)

    files = {
        "news/a.txt": NEWS[0],
        "news/b.jsonl": lines(NEWS),
        "news.jsonl": json.dumps({"text": NEWS[1], "date": "2024-07-08"}, ensure_ascii=False),
        "novels/a.txt": "话说天下大势，分久必合，合久必分。",
        "papers/a.jsonl": lines(["研究了飞行器姿态控制系统的设计方法，结果表明该方法有效。"]),
        "posts.csv": "id,body\n1,今天天气很好\n",
        "THUCNews/体育/1.txt": "标题\n正文在这里",
        "lines.txt": "第一行\n第二行\n",
        "names.txt": "北京今天 5 n\n",
        "shared/news/a.txt": NEWS[1],
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "news" / "2024-01.jsonl.gz").write_bytes(gzip.compress(lines(NEWS).encode()))
    return Terminal(monkeypatch, tmp_path)


@pytest.mark.timeout(300)
def test_every_command_of_the_readmes_does_its_work(terminal: Terminal, tmp_path: Path) -> None:
    # The READMEs compare with a corpus that they do not make.
    assert terminal.type("hanmill run novels/ --corpus novels").exit_code == 0
    places = {"/shared/news": f"{tmp_path}/shared/news", " KEY": f" '{tmp_path}/news/a.txt@0'"}
    done = []
    for typed in shown():
        if elsewhere(typed) is None:
            command = typed.command
            for name, place in places.items():
                command = command.replace(name, place)
            result = terminal.type(command)
            # `doctor` finds no broker, which is right.
            expected = {0, 1} if command == "hanmill doctor" else {0}
            assert result.exit_code in expected, f"{typed}\n{result.output}"
            done.append(command)
    assert len(done) >= 15


def test_what_is_run_elsewhere_is_shown_and_run_there() -> None:
    beginnings = {elsewhere(typed) for typed in shown()}
    assert set(RUN_ELSEWHERE) <= beginnings
    assert [place for place in RUN_ELSEWHERE.values() if not (REPOSITORY / place).exists()] == []
