"""What a corpus looks like besides its words: lengths, months, the growth of its vocabulary."""

from __future__ import annotations

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None
#: Earlier programs neither know of it nor mind.
oldest_program = "0003"


def upgrade() -> None:
    """Make it."""


def downgrade() -> None:
    """Take it away."""
