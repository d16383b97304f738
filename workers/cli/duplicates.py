"""How the groups that `dedup` found are shown after a run. Adds no command: `hanmill export` writes all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from workers.cli.output import Column, note, number, print_table

if TYPE_CHECKING:
    from storage.engine import Connection

#: Groups shown after a run.
LARGEST_GROUPS = 5
KIND_COLUMNS = (Column("kind"), number("groups"), number("documents"), number("repeats"))
GROUP_COLUMNS = (Column("group", right=True), Column("kind"), number("documents"), number("texts"), Column("first"))


def print_groups(connection: Connection, view: Mapping[str, Any]) -> None:
    """Print what a job has grouped: how many groups of each kind, and the largest; `repeats` are all but the first."""
    from storage import duplicates, jobs

    corpus, generation_id = view["corpus"], jobs.get(connection, view["id"]).generation_id
    kinds = duplicates.totals(connection, generation_id) if generation_id is not None else []
    if not kinds:
        note(f"{corpus} has no duplicates")
        return
    print_table(kinds, KIND_COLUMNS, title=f"the duplicates of {corpus}")
    largest = duplicates.largest_groups(connection, generation_id, LARGEST_GROUPS)
    print_table(largest, GROUP_COLUMNS, title=f"the {len(largest)} largest groups")
    note(
        f"`hanmill export {corpus} --what duplicates --to FILE` writes all; "
        "--do count --skip-duplicates near counts one document of each group"
    )
