"""Asks whether the broker answers, whichever kind it is. Sends nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kombu import Connection
from kombu.exceptions import OperationalError

from storage.broker_state import RedisState
from storage.errors import HanmillError
from storage.redis_keys import QUEUE_CPU
from workers.settings import mask

if TYPE_CHECKING:
    from workers.settings import Settings

#: Seconds until a broker that does not answer counts as away.
TIMEOUT_S = 3


def broker_fault(settings: Settings) -> str | None:
    """Return the sentence for a broker that does not answer; None when it does."""
    shown_url = mask(settings.broker_url)
    try:
        _touch(settings.broker_url)
    except ValueError:
        # What the library says of it may hold a part of the password.
        return f"the broker {shown_url} has no address that can be read; write %40 and %2F for @ and / in a password"
    except (HanmillError, OperationalError, OSError, LookupError, ImportError) as error:
        return f"the broker {shown_url} does not answer ({_first_line(error.__cause__ or error)})"
    return None


def _touch(broker_url: str) -> None:
    if broker_url.startswith("redis"):
        state = RedisState(broker_url)
        try:
            state.waiting(QUEUE_CPU)
        finally:
            state.close()
        return
    with Connection(broker_url, connect_timeout=TIMEOUT_S) as connection:
        connection.ensure_connection(max_retries=1, interval_start=0, timeout=TIMEOUT_S)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
