"""How long whoever waits for a broker that is away pauses between two tries. Waits for nothing itself."""

from __future__ import annotations

from typing import Any

#: Seconds between two tries to connect, at first, more each time, and at most: soon after the broker is back everybody
#: consumes again. By itself Celery waits ever longer, half a minute in the end.
RECONNECT_EVERY_S: dict[str, Any] = {"interval_start": 0.5, "interval_step": 0.5, "interval_max": 2.0}
#: Seconds until a broker is asked again that was reached and refused, which takes it milliseconds: it is full, say.
REFUSED_S = 1.0
#: Seconds after which a beat sends a message again that the broker did not take.
RESEND_S = 2.0
