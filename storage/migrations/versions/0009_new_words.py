"""Candidate words that no dictionary has."""

from __future__ import annotations

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None
#: Earlier programs neither know of it nor mind.
oldest_program = "0003"


def upgrade() -> None:
    """Make it."""


def downgrade() -> None:
    """Take it away."""
