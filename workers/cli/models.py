"""`hanmill models`: the models there are, added by their directories; which is taken where none is named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from storage.errors import UsageError
from workers.cli import options
from workers.cli.edge import DefaultCommandGroup
from workers.cli.model_directories import BUILTIN_NAME, KINDS, builtin_directories, read_model
from workers.cli.options import OutputFormat
from workers.cli.output import Column, instant, note, print_rows

if TYPE_CHECKING:
    from storage.engine import Connection
    from workers.bootstrap import Parts

LIST_EXAMPLE = "Example: hanmill models --format json"
ADD_EXAMPLE = "Example: hanmill models add models/court-cases --name court-cases --default"
DEFAULT_EXAMPLE = "Example: hanmill models default court-cases"
#: Digits of a digest that a table shows.
DIGEST_SHOWN = 12
COLUMNS = (
    Column("kind"),
    Column("name"),
    Column("version"),
    Column("backend"),
    Column("is_default", "default", lambda is_default: "yes" if is_default else ""),
    Column("digest", show=lambda digest: digest[:DIGEST_SHOWN]),
    Column("path"),
)
#: The fields of a model for programs.
FIELDS = ("kind", "name", "version", "backend", "digest", "path", "is_default", "metrics", "created_at")
#: What stands as the path of a model that comes with the program.
BUILTIN = "builtin:"


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        cls=DefaultCommandGroup,
        help="List the models there are, add one, or choose which is taken where none is named.",
        epilog=LIST_EXAMPLE,
    )
    group.command(name="list", epilog=LIST_EXAMPLE)(list_models)
    group.command(name="add", epilog=ADD_EXAMPLE)(add)
    group.command(name="default", epilog=DEFAULT_EXAMPLE)(default)
    app.add_typer(group, name="models")


def list_models(output: options.FormatOption = OutputFormat.TABLE) -> None:
    """List the models that come with the program and those that were added, with what was measured of them."""
    rows = sorted([*_builtin_rows(), *_added_rows()], key=lambda row: (row["kind"], row["created_at"] or ""))
    chosen = {row["kind"] for row in rows if row["is_default"]}
    for row in rows:
        # What comes with the program is the default of a kind until the user has chosen another.
        row["is_default"] |= row["path"].startswith(BUILTIN) and row["kind"] not in chosen
    if output is OutputFormat.CSV:
        rows = [{**row, "metrics": json.dumps(row["metrics"], ensure_ascii=False)} for row in rows]
    print_rows([{field: row[field] for field in FIELDS} for row in rows], COLUMNS, output)


def _builtin_rows() -> Iterator[dict[str, Any]]:
    for kind in KINDS:
        for directory in builtin_directories(kind):
            try:
                found = asdict(read_model(directory))
            except UsageError as error:
                note(f"hanmill: a {kind} that comes with the program cannot be used: {error}")
                continue
            own = {"name": BUILTIN_NAME, "path": BUILTIN + directory.name, "is_default": False, "created_at": None}
            yield {**found, **own}


def _added_rows() -> list[dict[str, Any]]:
    from storage.engine import reading
    from storage.models import list_models as load
    from workers.cli.opening import is_embedded, open_parts
    from workers.settings import load_settings

    settings = load_settings()
    if is_embedded(settings) and not (settings.home / "hanmill.db").exists():
        # Nothing was added to a home that is not there yet; what comes with the program is there all the same.
        return []
    with open_parts() as parts, reading(parts.engine) as connection:
        rows = load(connection)
    return [{**row, "created_at": instant(row["created_at"])} for row in rows]


def add(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="A model of `hanmill train`, or a checkpoint of Hugging Face.")
    ],
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="What it is called; default: as the directory.")
    ] = None,
    as_default: Annotated[bool, typer.Option("--default", help="Take it where no model is named.")] = False,
) -> None:
    """Check a model's directory and give it a name. A name that is in use stands for the new model from then on.

    The directory stays where it is: every machine whose workers run the model needs it under the same path.
    """
    from storage.engine import transact
    from storage.models import register

    found = replace(read_model(directory), name=name or directory.absolute().name)
    if found.name == BUILTIN_NAME:
        message = f"{BUILTIN_NAME!r} is the name of the models that come with the program; give another with --name"
        raise UsageError(message)
    with _opened() as parts:
        transact(parts.engine, lambda connection: register(connection, found, as_default=as_default))
    shown = (f"version {found.version}", found.backend, found.digest[:DIGEST_SHOWN], found.path)
    note(f"{found.kind} {found.name}: {', '.join(shown)}")


@contextmanager
def _opened() -> Iterator[Parts]:
    """Have the database inside `with`; in a home of one's own it is made where there is none yet."""
    from storage.migrate import upgrade
    from workers.bootstrap import build_parts
    from workers.cli.opening import closing_engine, is_embedded, open_parts
    from workers.settings import load_settings

    settings = load_settings()
    if is_embedded(settings):
        parts = build_parts(settings)
        with closing_engine(parts):
            upgrade(parts.engine)
    with open_parts() as parts:
        yield parts


def default(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A model; `default`: that of the program.")],
    kind: Annotated[
        str | None, typer.Option("--kind", metavar="KIND", help="classifier or summarizer, where both have the name.")
    ] = None,
) -> None:
    """Choose the model that is taken where none is named, until another is chosen."""
    from storage.engine import transact
    from storage.models import set_default

    def work(connection: Connection) -> str:
        chosen = _kind_of(connection, name, kind)
        set_default(connection, chosen, None if name == BUILTIN_NAME else name)
        return chosen

    with _opened() as parts:
        chosen = transact(parts.engine, work)
    note(f"{chosen}: {name} is taken where no model is named")


def _kind_of(connection: Connection, name: str, kind: str | None) -> str:
    from storage.models import list_models as load

    if kind is not None and kind not in KINDS:
        message = f"--kind is one of {', '.join(KINDS)}, not {kind!r}"
        raise UsageError(message)
    having = {str(row["kind"]) for row in load(connection) if row["name"] == name}
    if name == BUILTIN_NAME:
        having = {one for one in KINDS if builtin_directories(one)}
    kinds = sorted(having if kind is None else having & {kind})
    if not kinds:
        message = f"there is no {kind or 'model'} {name!r}; `hanmill models` lists them, `hanmill models add` adds one"
        raise UsageError(message)
    if len(kinds) > 1:
        message = f"{name!r} is the name of more than one model; add --kind {' or --kind '.join(kinds)}"
        raise UsageError(message)
    return kinds[0]
