"""What runs of model workers came to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "batch_runs",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("operation", sa.String(length=50), nullable=False),
        sa.Column("fingerprint", sa.String(length=32), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False, comment="its digest"),
        sa.Column("device", sa.String(length=50), nullable=False),
        sa.Column("finished_at", sa.Double(), nullable=False),
        sa.Column("shards", sa.Integer(), nullable=False),
        sa.Column("documents", sa.BigInteger(), nullable=False),
        sa.Column("batches", sa.Integer(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False, comment="positions that held text"),
        sa.Column("padded_tokens", sa.BigInteger(), nullable=False, comment="positions that were computed"),
        sa.Column("batch_fill", sa.Double(), nullable=False, comment="share of the token budget that was computed"),
        sa.Column("token_budget", sa.BigInteger(), nullable=False, comment="at the end of the run"),
        sa.Column("out_of_memory", sa.Integer(), nullable=False, comment="how often the device was too small"),
        sa.Column("elapsed_s", sa.Double(), nullable=False),
        sa.Column("forward_s", sa.Double(), nullable=False, comment="on the device"),
        sa.Column("waiting_s", sa.Double(), nullable=False, comment="the device waited for data"),
        sa.Column("writing_s", sa.Double(), nullable=False, comment="in the writing thread"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batch_runs")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_batch_runs_fingerprint", "batch_runs", ["fingerprint", "id"])


def downgrade() -> None:
    """Drop the table with its rows."""
    op.drop_table("batch_runs")
