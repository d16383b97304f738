"""Flower's configuration, each choice with its reason: `celery -A workers.app flower --conf=…/flowerconfig.py`.

Flower runs this file and takes from it what is called like an option of its own; `hanmill flower` names it. What stands
on the command line wins.
"""

import sys as _sys

from tornado.options import options as _given

from storage.errors import UsageError as _UsageError
from workers.app import app as _app
from workers.flower.access import flower_directory as _flower_directory
from workers.flower.access import kept_secret as _kept_secret
from workers.flower.access import users as _users
from workers.flower.columns import name_columns as _name_columns
from workers.flower.doors import close_doors as _close_doors
from workers.flower.start import open_words as _open_words
from workers.flower.start import share_certificates as _share_certificates
from workers.flower.start import speak as _speak
from workers.settings import load_settings as _load_settings

try:
    _settings = _load_settings()
    _directory = _flower_directory(_settings)
    # The command line has been read before this file. A socket file can be opened by everybody on the machine.
    address = _given.address or ("" if _given.unix_socket else "127.0.0.1")
    basic_auth = _given.basic_auth or _users(_settings, address)
    cookie_secret = _kept_secret(_directory / "cookie_secret")
except _UsageError as _error:
    print(f"hanmill: {_error}", file=_sys.stderr)  # noqa: T201 - Celery's command would show a traceback
    raise SystemExit(2) from None

_speak(_settings)
_share_certificates(_app)
_close_doors()
_words = _open_words(_settings)

# Nobody stops a worker from a web page unless `--read_only=False` was said.
read_only = True

# A worker whose machine is busy takes its time to answer.
inspect_timeout = 3000.0  # milliseconds

# What is seen survives a restart; a killed Flower loses the last half minute.
persistent = True
db = str(_directory / "history")
state_save_interval = 30_000  # milliseconds
# Saving so many takes about 0.2 s, for which the page stands still.
max_tasks = 10_000
# A worker that has been away for a day does not come back under that name.
purge_offline_workers = 24 * 3600  # seconds

tasks_columns = _name_columns()


def format_task(task):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - Flower wants a plain function
    """Put words in the place of ids."""
    return _words.show(task)
