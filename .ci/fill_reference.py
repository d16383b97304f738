"""Writes the reference in docs/ from the program itself: `make readme`. A test says when a page of it is stale.

The commands come from their own help, the views from their declarations.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from storage.view_statements import VIEWS
from workers.cli.main import app

REFERENCE = Path("docs/reference")
#: Characters of a line of help.
WIDTH = 100
COMMANDS_INTRODUCTION = """\
# Commands

What `hanmill COMMAND --help` says, for every command. This page is made by `make readme`; edit the help, not the page.
Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 done with dead letters (`run`, `submit --wait`,
`status --watch`, `verify`).
"""
VIEWS_INTRODUCTION = """\
# Views

What is meant to be queried. Tables may change with a version; a view keeps its name, its columns, their order and their
meaning. Columns may be added at the end. `hanmill db upgrade` makes the views, on SQLite and on PostgreSQL; this page
is made by `make readme`.

They show what the commands show: of several results of one operation those of the newest finished job, of several
counts those that `hanmill top` reads, of several records with one key the last one. Times are `timestamptz` in
PostgreSQL and text such as `2026-11-21T09:30:00.125Z` in SQLite, which its date functions read. JSON is `jsonb` in
PostgreSQL and text in SQLite.

```sql
-- The ten most frequent words of two characters or more. Punctuation and white space are counted too, and are short.
SELECT word, count, documents FROM v_top_words
WHERE corpus = 'sample' AND length(word) > 1 ORDER BY count DESC, word LIMIT 10;

-- How many documents of the corpus "papers" have each label.
SELECT label, count(*) AS documents FROM v_labels WHERE corpus = 'papers' GROUP BY label ORDER BY documents DESC, label;

-- Everything that is known of one document.
SELECT operation, result FROM v_document_results WHERE corpus = 'papers' AND key = 'csl-dev-0000' ORDER BY operation;
```

On PostgreSQL the views are read with the rights of their owner, so that a role that may read views and no table is
enough to look at results: [deploy/postgres/reader-role.sql](../../deploy/postgres/reader-role.sql) makes one. What is
granted on a view outlives upgrades.
"""


def commands_page() -> str:
    """Return the page of all commands."""
    parts = [COMMANDS_INTRODUCTION]
    for path, command, context in _commands(typer.main.get_command(app), "hanmill", None):
        help_text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
        parts.append(f"## {path}\n\n```text\n{help_text}\n```\n")
    return "\n".join(parts)


def _commands(command: Any, path: str, parent: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield every command with its path, those that stand below another after it."""
    context = command.context_class(
        command, info_name=path.rpartition(" ")[2], parent=parent, max_content_width=WIDTH, terminal_width=WIDTH
    )
    if parent is not None:
        yield path, command, context
    for name, below in getattr(command, "commands", {}).items():
        if not below.hidden:
            yield from _commands(below, f"{path} {name}", context)


def views_page() -> str:
    """Return the page of all views."""
    parts = [VIEWS_INTRODUCTION]
    for view in VIEWS:
        rows = "\n".join(f"| `{name}` | {meaning} |" for name, meaning in view.columns.items())
        parts.append(f"## {view.name}\n\nA row is {view.row}.\n\n| column | meaning |\n|---|---|\n{rows}\n")
    return "\n".join(parts)


#: Every page with what makes it.
PAGES = {"commands.md": commands_page, "views.md": views_page}


def main() -> None:
    """Write every page."""
    for name, page in PAGES.items():
        (REFERENCE / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
