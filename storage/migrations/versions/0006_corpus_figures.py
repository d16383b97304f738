"""What a corpus looks like besides its words: lengths, months, the growth of its vocabulary."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None
#: Earlier programs neither know of it nor mind.
oldest_program = "0003"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TABLES = ("word_counts_by_month", "vocabulary_growth", "document_lengths", "corpus_months")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "corpus_months",
        sa.Column("generation_id", ID, autoincrement=False, nullable=False),
        sa.Column("month", sa.Integer(), autoincrement=False, nullable=False, comment="202407, or 0: undated"),
        sa.Column("documents", sa.BigInteger(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("characters", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("generation_id", "month", name=op.f("pk_corpus_months")),
    )
    op.create_table(
        "document_lengths",
        sa.Column("generation_id", ID, autoincrement=False, nullable=False),
        sa.Column("month", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("from_chars", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("to_chars", sa.BigInteger(), nullable=False, comment="the longest that is counted here"),
        sa.Column("documents", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("generation_id", "month", "from_chars", name=op.f("pk_document_lengths")),
    )
    op.create_table(
        "vocabulary_growth",
        sa.Column("generation_id", ID, autoincrement=False, nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column(
            "step", sa.Integer(), autoincrement=False, nullable=False, comment="some shards, in their order, from 0"
        ),
        sa.Column("tokens", sa.BigInteger(), nullable=False, comment="of the step, in every partition's row"),
        sa.Column("words", sa.BigInteger(), nullable=False, comment="of the partition that stand in no earlier step"),
        sa.PrimaryKeyConstraint("generation_id", "partition", "step", name=op.f("pk_vocabulary_growth")),
    )
    op.create_table(
        "word_counts_by_month",
        sa.Column("generation_id", ID, autoincrement=False, nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column(
            "position", sa.Integer(), autoincrement=False, nullable=False, comment="of the word, as in word_counts"
        ),
        sa.Column("month", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("documents", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "generation_id", "partition", "position", "month", name=op.f("pk_word_counts_by_month")
        ),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Take the tables away, with their rows."""
    for table in TABLES:
        op.drop_table(table)
