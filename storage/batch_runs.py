"""What runs of model workers came to: how full their batches were, and what they waited for. Kept for operators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, insert

from storage import job_views
from storage.asking import ConnectionAsker
from storage.engine import now
from storage.schema import batch_runs


@dataclass(frozen=True, slots=True)
class BatchRun:
    """The figures of one run over one or many shards."""

    operation: str
    fingerprint: str
    #: The digest of the model.
    model: str
    device: str
    shards: int
    documents: int
    batches: int
    #: Positions that held text, and positions computed.
    tokens: int
    padded_tokens: int
    #: The share of the token budget that was computed.
    batch_fill: float
    token_budget: int
    out_of_memory: int
    elapsed_s: float
    forward_s: float
    #: For which the device waited for data, and for which results were made and written beside it.
    waiting_s: float
    writing_s: float

    def as_fields(self) -> dict[str, Any]:
        """Return the figures for a log line, times rounded to milliseconds."""
        return {name: round(value, 3) if isinstance(value, float) else value for name, value in asdict(self).items()}


def save(connection: Connection, run: BatchRun) -> None:
    """Write what a run came to."""
    connection.execute(insert(batch_runs).values(**asdict(run), finished_at=now()))


def totals(connection: Connection, fingerprints: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return the sums over all runs of some fingerprints, with `padding_waste` and the rates, by fingerprint."""
    return job_views.run_totals(ConnectionAsker(connection), fingerprints)
