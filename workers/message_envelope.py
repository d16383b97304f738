"""Whether what stands in a queue of Redis is an envelope that kombu can open. Knows no task; see `message_check`.

kombu opens it in the worker's main loop and believes what it finds: of bytes that are no JSON, or JSON that is no
envelope, the whole worker would die, and the next one of the same bytes.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, NamedTuple

#: Characters of the names in an envelope.
_LONGEST_NAME = 512
#: What each part of an envelope must be.
_PARTS = {"body": str, "headers": dict, "properties": dict, "content-type": str, "content-encoding": str}


def envelope_fault(raw: bytes | str, max_bytes: int) -> str | None:
    """Return why some bytes are no envelope of a message, None when they are one."""
    opened = _opened(raw, max_bytes)
    return opened.fault or opened_fault(opened.value)


def broadcast_fault(raw: bytes | str, max_bytes: int, *, is_control: bool) -> str | None:
    """Return why some bytes that were sent to many are no envelope, or none of an order of remote control."""
    opened = _opened(raw, max_bytes)
    return opened.fault or (control_fault if is_control else opened_fault)(opened.value)


class _Opened(NamedTuple):
    value: Any
    fault: str | None = None


def _opened(raw: bytes | str, max_bytes: int) -> _Opened:
    if len(raw) > max_bytes:
        return _Opened(None, f"it has {len(raw)} bytes, more than HANMILL_MAX_MESSAGE_BYTES")
    try:
        # Strictly: kombu would put other characters in place of what is no UTF-8.
        return _Opened(json.loads(raw.decode() if isinstance(raw, bytes) else raw))
    except (ValueError, RecursionError) as error:
        return _Opened(None, f"it is no JSON: {type(error).__name__}")


def opened_fault(envelope: Any) -> str | None:
    """Return why a JSON value is no envelope of a message, None when it is one."""
    if not isinstance(envelope, dict):
        return "it is JSON, but no message"
    for part, kind in _PARTS.items():
        if not isinstance(envelope.get(part), kind):
            return f"its {part} is missing, or is no {kind.__name__}"
    return _properties_fault(envelope["properties"]) or _body_fault(envelope)


def control_fault(envelope: Any) -> str | None:
    """Return why a JSON value is no message of Celery's remote control, None when it is one."""
    if fault := opened_fault(envelope):
        return fault
    body = envelope["body"]
    try:
        order = json.loads(base64.b64decode(body) if envelope["properties"].get("body_encoding") else body)
    except (ValueError, RecursionError) as error:
        return f"its body is no JSON: {type(error).__name__}"
    kinds = {"method": str, "arguments": dict | None, "destination": list | None, "reply_to": dict | None}
    if not isinstance(order, dict) or not all(isinstance(order.get(part), kind) for part, kind in kinds.items()):
        return "its body is no order"
    return None


def _properties_fault(properties: dict[str, Any]) -> str | None:
    place = properties.get("delivery_info")
    if not isinstance(place, dict):
        return "it does not say where it belongs"
    names = (properties.get("delivery_tag"), place.get("exchange"), place.get("routing_key"))
    if not all(isinstance(name, str) and len(name) <= _LONGEST_NAME for name in names):
        return "its delivery tag or its place is missing, or is no name"
    return None


def _body_fault(envelope: dict[str, Any]) -> str | None:
    if envelope["content-type"] != "application/json" or envelope["content-encoding"].lower() != "utf-8":
        return f"it is {envelope['content-type'][:_LONGEST_NAME]}; only JSON in UTF-8 is taken"
    if envelope["headers"].get("compression"):
        # kombu would inflate it, whatever comes out.
        return "it is compressed, which none of ours is"
    encoding = envelope["properties"].get("body_encoding")
    if encoding not in (None, "base64"):
        return "its body is in an encoding that is not known"
    try:
        body = base64.b64decode(envelope["body"], validate=True) if encoding else envelope["body"].encode()
        body.decode()
    except (binascii.Error, ValueError):
        return "its body is no base64 of UTF-8"
    return None
