"""What stands in a queue is looked at before kombu opens it: any bytes give an answer, and only envelopes pass."""

from __future__ import annotations

import base64
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from kombu.transport.redis import Channel

from workers.message_envelope import control_fault, envelope_fault, opened_fault

LIMIT_BYTES = 10_000
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def good(body: str = "[[], {}, {}]") -> dict[str, Any]:
    place = {"exchange": "", "routing_key": "hanmill.cpu"}
    return {
        "body": base64.b64encode(body.encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {},
        "properties": {"body_encoding": "base64", "delivery_tag": "1", "delivery_info": place},
    }


def test_a_message_of_kombu_passes() -> None:
    assert envelope_fault(json.dumps(good()).encode(), LIMIT_BYTES) is None
    assert envelope_fault(json.dumps(good()), LIMIT_BYTES) is None


def test_a_message_that_is_too_large_is_not_even_opened() -> None:
    fault = envelope_fault(json.dumps(good("x" * LIMIT_BYTES)), LIMIT_BYTES)
    assert fault is not None
    assert "HANMILL_MAX_MESSAGE_BYTES" in fault


@given(st.binary())
def test_no_bytes_are_too_strange_to_be_refused(raw: bytes) -> None:
    assert envelope_fault(raw, LIMIT_BYTES) is not None


@given(JSON)
def test_no_json_is_too_strange_to_be_refused(value: Any) -> None:
    assert opened_fault(value) is not None
    assert control_fault(value) is not None


@given(st.sampled_from([*good(), "delivery_tag", "delivery_info", "body_encoding"]), JSON)
def test_what_passes_kombu_can_open_whatever_one_part_of_it_is(part: str, value: Any) -> None:
    message = good()
    owner = message if part in message else message["properties"]
    owner[part] = value
    if opened_fault(message) is None:
        channel: Any = _Channel()
        opened = Channel.Message(message, channel=channel)
        assert isinstance(opened.body, bytes | str)
        assert isinstance(opened.delivery_tag, str)


class _Channel:
    """As much of a channel as opening a message takes."""

    def decode_body(self, body: str, encoding: str | None = None) -> bytes | str:
        return base64.b64decode(body) if encoding else body


def test_only_an_order_of_remote_control_is_one() -> None:
    assert control_fault(good(json.dumps({"method": "ping", "arguments": {}}))) is None
    for body in ("[]", "{}", '{"method": 7}', '{"method": "ping", "arguments": []}', "ping"):
        assert control_fault(good(body)) is not None
