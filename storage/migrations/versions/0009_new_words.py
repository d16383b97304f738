"""Candidate words that no dictionary has, and the n-grams they are chosen from."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None
#: Earlier programs neither know of it nor mind.
oldest_program = "0003"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
WORD = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
BLOB = sa.LargeBinary().with_variant(postgresql.BYTEA(), "postgresql")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "frequent_grams",
        sa.Column("generation_id", ID, autoincrement=False, nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("data", BLOB, nullable=False, comment="Arrow IPC, zstd; dropped when the last partition has come"),
        sa.PrimaryKeyConstraint("generation_id", "partition", name=op.f("pk_frequent_grams")),
    )
    op.create_table(
        "new_words",
        sa.Column("generation_id", ID, autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False, comment="by score, from 0"),
        sa.Column("word", WORD, nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("pmi", sa.Double(), nullable=False, comment="nats, the least over all ways to cut it in two"),
        sa.Column("left_entropy", sa.Double(), nullable=False, comment="of its neighbours, nats"),
        sa.Column("right_entropy", sa.Double(), nullable=False, comment="likewise"),
        sa.Column("score", sa.Double(), nullable=False, comment="pmi times the lesser entropy"),
        sa.PrimaryKeyConstraint("generation_id", "position", name=op.f("pk_new_words")),
    )


def downgrade() -> None:
    """Take them away."""
    op.drop_table("new_words")
    op.drop_table("frequent_grams")
