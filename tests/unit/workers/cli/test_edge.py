from __future__ import annotations

import pytest
import typer
from sqlalchemy import create_engine, text
from typer.testing import CliRunner

from storage.errors import HanmillError, TransientError, UsageError
from workers.cli.edge import DefaultCommandGroup, EdgeGroup


def failing_with(error: Exception) -> typer.Typer:
    app = typer.Typer(cls=EdgeGroup)
    app.callback()(lambda: None)

    @app.command()
    def fail() -> None:
        raise error

    return app


@pytest.mark.parametrize(("kind", "code"), [(UsageError, 2), (HanmillError, 1), (TransientError, 1)])
def test_an_error_on_purpose_is_one_sentence_and_an_exit_code(kind: type[HanmillError], code: int) -> None:
    result = CliRunner().invoke(failing_with(kind("no corpus of that name")), ["fail"])
    assert result.exit_code == code
    assert result.stderr == "hanmill: no corpus of that name\n"
    assert result.stdout == ""


def test_a_bug_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        CliRunner().invoke(failing_with(ZeroDivisionError()), ["fail"], catch_exceptions=False)


def test_a_fault_of_the_database_is_a_sentence() -> None:
    app = typer.Typer(cls=EdgeGroup)
    app.callback()(lambda: None)

    @app.command()
    def ask() -> None:
        with create_engine("sqlite://").connect() as connection:
            connection.execute(text("SELECT * FROM nowhere"))

    result = CliRunner().invoke(app, ["ask"])
    assert result.exit_code == 1
    assert result.stderr == "hanmill: the database failed: no such table: nowhere\n"


@pytest.mark.parametrize(("arguments", "called"), [([], "list None"), (["5"], "list 5"), (["drop"], "drop")])
def test_list_need_not_be_named(arguments: list[str], called: str) -> None:
    group = typer.Typer(cls=DefaultCommandGroup)

    @group.command(name="list")
    def list_all(number: int | None = typer.Argument(None)) -> None:
        typer.echo(f"list {number}")

    @group.command()
    def drop() -> None:
        typer.echo("drop")

    app = typer.Typer()
    app.callback()(lambda: None)
    app.add_typer(group, name="things")
    assert CliRunner().invoke(app, ["things", *arguments]).stdout == f"{called}\n"
