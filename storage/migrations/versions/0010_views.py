"""Views that stay the same whatever becomes of the tables.

The step changes no table. It is there so that a program knows by the revision whether a database has views.
"""

from __future__ import annotations

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None
#: Earlier programs neither know of it nor mind.
oldest_program = "0003"


def upgrade() -> None:
    """Do nothing: every upgrade ends with making the views, see `storage.views`."""


def downgrade() -> None:
    """Do nothing: every downgrade begins with dropping the views."""
