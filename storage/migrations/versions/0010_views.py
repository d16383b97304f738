"""Views that stay the same whatever becomes of the tables."""

from __future__ import annotations

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None
#: Earlier programs neither know of it nor mind.
oldest_program = "0003"


def upgrade() -> None:
    """Make it."""


def downgrade() -> None:
    """Take it away."""
