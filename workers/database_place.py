"""Where the database is, by three settings and no more: for commands that only look and need not load all of them.

`settings.py` reads the same variables with all the others, and says what is wrong with them; this says nothing.
"""

from __future__ import annotations

import os
from pathlib import Path

#: Of every setting's variable.
PREFIX = "HANMILL_"


def database_place() -> str | None:
    """Return the database's address as the settings have it; None where only they can tell."""
    given = {name: value for name, value in os.environ.items() if name.upper().startswith(PREFIX)}
    if any(name != name.upper() for name in given):
        # Small letters name settings too; which of two counts is not decided here.
        return None
    directory = given.get(f"{PREFIX}SECRETS_DIR")
    if directory and f"{PREFIX}DATABASE_URL" not in given:
        return _secret(Path(directory))
    return given.get(f"{PREFIX}DATABASE_URL") or _embedded(Path(given.get(f"{PREFIX}HOME") or ".hanmill"))


def _secret(directory: Path) -> str | None:
    try:
        return (directory / f"{PREFIX}DATABASE_URL".lower()).read_text(encoding="utf-8").strip() or None
    except OSError:
        return None


def _embedded(home: Path) -> str:
    return f"sqlite:///{home.absolute() / 'hanmill.db'}"
