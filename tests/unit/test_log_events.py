"""Events have constant names with their data in fields, and the documentation explains exactly those that there are."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.availability import REPOSITORY

LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
NAME = re.compile(r"[a-z]+\.[a-z_]+")
DOCUMENT = REPOSITORY / "deploy" / "LOGS.md"


def sources() -> list[Path]:
    return [path for folder in ("workers", "tasks", "storage") for path in sorted((REPOSITORY / folder).rglob("*.py"))]


def log_calls(tree: ast.AST) -> Iterator[ast.Call]:
    """Yield every call such as `logger.info(…)`."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr not in LEVELS:
            continue
        owner = node.func.value
        if isinstance(owner, ast.Name) and owner.id in {"logger", "_logger", "log", "logging"}:
            yield node


def event_of(call: ast.Call) -> str | None:
    """Return the constant name of an event, None when the call breaks the rule."""
    given = {keyword.arg for keyword in call.keywords}
    if len(call.args) != 1 or not given <= {"extra", "exc_info", "stack_info", "stacklevel"}:
        return None
    event = call.args[0]
    if isinstance(event, ast.Constant) and isinstance(event.value, str) and NAME.fullmatch(event.value):
        return event.value
    return None


def calls() -> list[tuple[str, str | None]]:
    """Return (place, event) of every log call of the program."""
    found = []
    for path in sources():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        place = path.relative_to(REPOSITORY)
        found += [(f"{place}:{call.lineno}", event_of(call)) for call in log_calls(tree)]
    return found


def test_every_log_line_is_a_constant_event_with_its_data_in_fields() -> None:
    assert [place for place, event in calls() if event is None] == []


@pytest.mark.parametrize(
    "line",
    [
        'logger.info(f"shard.ended {shard}")',
        'logger.info("shard.ended %s", shard)',
        'logger.info("the shard has ended")',
        "logger.info(event)",
        'logger.info("shard.ended", shard=3)',
    ],
)
def test_what_is_no_constant_event_would_be_found(line: str) -> None:
    (call,) = log_calls(ast.parse(line))
    assert event_of(call) is None


def test_the_documentation_explains_exactly_the_events_that_there_are() -> None:
    table = DOCUMENT.read_text(encoding="utf-8").partition("<!-- events -->")[2]
    explained = [name for row in re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE) for name in NAME.findall(row)]
    there_are = {event for _, event in calls() if event is not None}
    assert (there_are - set(explained), set(explained) - there_are) == (set(), set()), "unexplained, or gone"
    assert len(explained) == len(set(explained))
