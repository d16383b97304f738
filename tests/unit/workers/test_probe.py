"""A probe judges by what a process wrote about itself, and says in one line what is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from workers.cli.main import app
from workers.probe import ProbeFiles, probe_url
from workers.settings import Settings


@pytest.fixture
def files(home: Path) -> ProbeFiles:
    return ProbeFiles(home, "mill1")


def invoke(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["probe", *arguments])
    return result.exit_code, result.stderr.strip()


def write(path: Path, pid: int, at_s: float) -> None:
    path.write_text(json.dumps({"pid": pid, "at_s": at_s}), encoding="utf-8")


def test_a_process_that_was_never_started_is_not_live(home: Path) -> None:
    code, reason = invoke("live", "--name", "mill1")
    assert (code, reason) == (1, f"hanmill: there is no {home}/run/mill1.alive: mill1 was never started here")


def test_a_process_that_touches_its_file_is_live_and_ready_only_when_it_says_so(files: ProbeFiles) -> None:
    files.touch_alive()
    assert invoke("live", "--name", "mill1") == (0, "")
    assert invoke("ready", "--name", "mill1")[0] == 1
    files.set_ready(ready=True)
    assert invoke("ready", "--name", "mill1") == (0, "")
    files.set_ready(ready=False)
    assert invoke("ready", "--name", "mill1")[0] == 1


def test_an_old_sign_of_life_is_none(files: ProbeFiles) -> None:
    files.touch_alive()
    files.set_ready(ready=True)
    write(files.alive, os.getpid(), time.monotonic() - 100)
    code, reason = invoke("live", "--name", "mill1")
    assert (code, reason) == (1, "hanmill: mill1 hangs: its last sign of life is 100 s old")
    assert invoke("ready", "--name", "mill1")[0] == 1
    assert invoke("live", "--name", "mill1", "--stale-s", "200")[0] == 0


def test_what_an_ended_process_left_behind_says_nothing(files: ProbeFiles) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    files.touch_alive()
    write(files.alive, ended.pid, time.monotonic())
    assert invoke("live", "--name", "mill1") == (1, f"hanmill: mill1 is not running: its process {ended.pid} has ended")


def test_readiness_of_an_earlier_process_is_not_that_of_this_one(files: ProbeFiles) -> None:
    files.touch_alive()
    write(files.ready, os.getppid(), time.monotonic())
    assert invoke("ready", "--name", "mill1")[0] == 1


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"pid": "x", "at_s": 1}'])
def test_a_damaged_file_is_none(files: ProbeFiles, content: str) -> None:
    files.touch_alive()
    files.alive.write_text(content, encoding="utf-8")
    assert invoke("live", "--name", "mill1")[0] == 1


def test_a_disk_that_takes_nothing_does_not_end_the_loop(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    ProbeFiles(tmp_path, "mill1").touch_alive()


def test_the_probe_looks_where_the_settings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HANMILL_HOME")
    assert f"there is no {Settings().home.absolute()}/run/worker.alive" in invoke("live")[1]


@contextmanager
def answering(status: int) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/healthcheck"
        server.shutdown()


@pytest.mark.parametrize("kind", ["exporter", "flower"])
def test_what_speaks_http_is_asked_so(kind: str) -> None:
    with answering(200) as url:
        assert invoke("ready", "--kind", kind, "--url", url) == (0, "")
    with answering(503) as url:
        code, reason = invoke("live", "--kind", kind, "--url", url)
        assert (code, "does not answer: HTTP Error 503" in reason) == (1, True)
    assert invoke("live", "--kind", kind, "--url", url)[0] == 1


def test_a_wrong_address_is_a_reason_too() -> None:
    assert "does not answer" in probe_url("nonsense", 1.0).reason


def test_a_probe_loads_neither_queue_nor_database_nor_settings() -> None:
    heavy = ("celery", "kombu", "sqlalchemy", "redis", "pydantic_settings", "jieba", "torch")
    program = (
        "import sys; sys.argv[1:] = ['probe', 'live']\n"
        "from workers.cli.main import app\n"
        "try: app()\n"
        "except SystemExit: pass\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert "was never started here" in done.stderr
