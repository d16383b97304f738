"""Ends sessions of PostgreSQL whose process stands still in the middle of a transaction and keeps its rows locked.

A stopped process, or a frozen container, whose kernel answers for it, would keep its shard for ever. Mostly the server
ends such a session itself (`idle_in_transaction_session_timeout`, see `engine`), but not in the middle of a COPY, nor
after statements that a driver sent in a pipeline: what follows them on the wire turns the server's timer off. SQLite
has no server: whoever stands still there must be woken or killed.
"""

from __future__ import annotations

from sqlalchemy import Engine, text

from storage.engine import transact

#: Seconds that a transaction which has written may wait for its client; those of hanmill wait for milliseconds, and
#: take some seconds for a COPY.
SILENCE_S = 120.0

_END = text(
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
    " WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()"
    " AND backend_xid IS NOT NULL AND wait_event = 'ClientRead'"
    " AND state_change < clock_timestamp() - make_interval(secs => :silence_s)"
)


def end_frozen(engine: Engine, silence_s: float = SILENCE_S) -> int:
    """End this role's sessions that have waited for their client for longer than `silence_s`; return how many."""
    if engine.dialect.name != "postgresql":
        return 0
    return transact(engine, lambda connection: connection.scalar(_END, {"silence_s": silence_s})) or 0
