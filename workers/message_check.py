"""Whether a message that kombu has opened is one that a task of ours takes: its name, its arguments, their kinds.

Looks at nothing but the message: whether its shard exists, and may run, is the ledger's to say.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

#: The largest id that a database has.
_LARGEST_ID = 2**63 - 1
#: Characters of what is shown of a message.
_SHOWN = 100


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _LARGEST_ID


def _is_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


#: What each argument must be, and how that is said. An argument of no task of this version is left alone.
_KINDS: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "shard": (_is_id, "an id"),
    "job": (_is_id, "an id"),
    "run": (_is_id, "an id"),
    "worker": (lambda value: isinstance(value, str), "a name"),
    "corpus": (lambda value: isinstance(value, str), "a name"),
    "documents": (lambda value: isinstance(value, list), "a list"),
    "operations": (_is_names, "a list of names"),
    "options": (lambda value: value is None or isinstance(value, dict), "a mapping"),
}


def _is_limits(value: object) -> bool:
    numbers = (int | float | None, int | float | None)
    return value is None or (
        isinstance(value, list) and len(value) == len(numbers) and all(map(isinstance, value, numbers))
    )


def _is(*kinds: Any) -> Callable[[object], bool]:
    return lambda value: value is None or isinstance(value, kinds)


#: What each header must be that Celery believes; one that is not there is none.
_HEADERS: Mapping[str, Callable[[object], bool]] = {
    **dict.fromkeys(("eta", "root_id", "parent_id", "group", "shadow", "origin", "argsrepr", "kwargsrepr"), _is(str)),
    **dict.fromkeys(("retries", "replaced_task_nesting", "group_index", "ignore_result"), _is(int)),
    "expires": _is(str, int, float),
    "stamped_headers": _is(list),
    "stamps": _is(dict),
    "timelimit": _is_limits,
}


def message_fault(message: Any, tasks: Mapping[str, Any], max_bytes: int) -> str | None:
    """Return why a message of kombu's is refused, None when a task takes it."""
    return _form_fault(message, max_bytes) or _task_fault(message, tasks)


def _form_fault(message: Any, max_bytes: int) -> str | None:
    if message.content_type != "application/json":
        return f"it is {str(message.content_type)[:_SHOWN]}; only JSON is taken"
    if not isinstance(message.headers, dict) or message.headers.get("compression"):
        return "its headers are none, or it is compressed, which none of ours is"
    if len(message.body or "") > max_bytes:
        return f"it has {len(message.body)} bytes, more than HANMILL_MAX_MESSAGE_BYTES"
    return None


def _task_fault(message: Any, tasks: Mapping[str, Any]) -> str | None:
    try:
        payload = message.payload
    except Exception as error:  # noqa: BLE001 - whatever opening a stranger's bytes may raise
        return f"its body is no JSON: {type(error).__name__}"
    # The first form of Celery's messages, which some clients of other languages still send, has everything in the body.
    is_first_form = "task" not in message.headers and isinstance(payload, dict)
    told = payload if is_first_form else message.headers
    name = told.get("task")
    if not isinstance(name, str) or not isinstance(told.get("id"), str):
        return "it names no task, or has no id"
    wrong = [header for header, is_kind in _HEADERS.items() if not is_kind(told.get(header))]
    if wrong:
        return f"its headers are not what they should be: {', '.join(wrong)}"
    # Celery's own ones (map, chord, …) make further messages out of one; nothing of ours asks for them.
    if name not in tasks or name.startswith("celery."):
        return f"there is no task {name[:_SHOWN]!r}"
    body = [payload.get("args", []), payload.get("kwargs", {}), None] if is_first_form else payload
    if not _is_body(body):
        return "its body is not [arguments, named arguments, mapping]"
    return arguments_fault(tasks[name].run, body[0], body[1])


def _is_body(payload: Any) -> bool:
    shape = (list, dict, dict | None)
    return isinstance(payload, list) and len(payload) == len(shape) and all(map(isinstance, payload, shape))


def arguments_fault(function: Callable[..., Any], given: list[Any], named: dict[str, Any]) -> str | None:
    """Return why a function does not take some arguments, None when it does."""
    try:
        bound = inspect.signature(function).bind(*given, **named)
    except TypeError as error:
        return f"its arguments do not fit: {str(error)[:_SHOWN]}"
    for name, value in bound.arguments.items():
        is_kind, kind = _KINDS.get(name, (None, ""))
        if is_kind is not None and not is_kind(value):
            return f"its argument {name} is not {kind}"
    return None
