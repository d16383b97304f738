"""Groups of documents that say the same."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None
#: Earlier programs neither know of it nor mind.
oldest_program = "0003"

TABLES = ("partial_signatures", "duplicate_groups", "duplicate_members")

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
WORD = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables."""
    _create_signatures()
    _create_groups()
    _create_members()


def downgrade() -> None:
    """Drop the tables with their rows."""
    for table in reversed(TABLES):
        op.drop_table(table)


def _create_signatures() -> None:
    op.create_table(
        "partial_signatures",
        sa.Column(
            "digest", sa.LargeBinary(length=32), nullable=False, comment="of a shard's content and of its places"
        ),
        sa.Column("fingerprint", sa.String(length=32), nullable=False),
        sa.Column("part", sa.Integer(), autoincrement=False, nullable=False, comment="0 places, 1 keys, from 2 bands"),
        sa.Column("documents", sa.BigInteger(), nullable=False, comment="of the whole shard, in every part's row"),
        sa.Column(
            "dead", sa.BigInteger(), nullable=False, comment="records of the shard that are no documents, likewise"
        ),
        sa.Column(
            "data",
            sa.LargeBinary(),
            nullable=False,
            comment="places and keys: Arrow IPC; bands: 2-byte little-endian numbers",
        ),
        sa.PrimaryKeyConstraint("digest", "fingerprint", "part", name=op.f("pk_partial_signatures")),
    )


def _create_groups() -> None:
    op.create_table(
        "duplicate_groups",
        sa.Column("generation_id", ID, autoincrement=False, nullable=False),
        sa.Column(
            "number",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
            comment="from 1, in order of the first members",
        ),
        sa.Column("kind", sa.String(length=5), nullable=False, comment="exact or near"),
        sa.Column("documents", sa.Integer(), nullable=False),
        sa.Column(
            "texts",
            sa.Integer(),
            nullable=False,
            comment="that differ once they are normalized; 1 where all are equal",
        ),
        sa.PrimaryKeyConstraint("generation_id", "number", name=op.f("pk_duplicate_groups")),
    )


def _create_members() -> None:
    op.create_table(
        "duplicate_members",
        sa.Column("generation_id", ID, autoincrement=False, nullable=False),
        sa.Column("group_number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column(
            "number",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
            comment="from 1, which stands for the group",
        ),
        sa.Column(
            "text_number",
            sa.Integer(),
            nullable=False,
            comment="from 1; members with one number are equal texts",
        ),
        sa.Column("similarity", sa.Double(), nullable=False, comment="to the first member, from 0 to 1"),
        sa.Column("source_id", ID, nullable=False, comment="0 when a producer gave the text itself"),
        sa.Column("source_version", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("document_id", ID, nullable=False, comment="0 when it stands in a source"),
        sa.Column("key", WORD, nullable=False),
        sa.PrimaryKeyConstraint("generation_id", "group_number", "number", name=op.f("pk_duplicate_members")),
    )
    op.create_index("ix_duplicate_members_generation_id_key", "duplicate_members", ["generation_id", "key"])
