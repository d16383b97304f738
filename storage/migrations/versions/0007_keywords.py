"""The keywords of documents, and the document frequencies that they are weighed by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None
#: Earlier programs neither know of it nor mind.
oldest_program = "0003"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "keywords",
        sa.Column("sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("fingerprint", sa.String(length=32), nullable=False),
        sa.Column(
            "keywords",
            sa.Text(),
            nullable=False,
            comment='JSON list of {"word", "weight"}, the weightiest first; may be empty',
        ),
        sa.PrimaryKeyConstraint("sha256", "fingerprint", name=op.f("pk_keywords")),
    )
    op.create_table(
        "idf_tables",
        sa.Column("corpus_id", ID, nullable=False),
        sa.Column(
            "segmentation", sa.String(length=32), nullable=False, comment="digest of how the words are cut and filtered"
        ),
        sa.Column("digest", sa.String(length=64), nullable=False, comment="of the table among the resources"),
        sa.Column("documents", sa.BigInteger(), nullable=False, comment="that were counted"),
        sa.Column("words", sa.BigInteger(), nullable=False, comment="that the table holds; rarer ones need no row"),
        sa.Column("generation_id", ID, nullable=False, comment="of the word counts that it was taken from"),
        sa.Column("taken_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["corpus_id"], ["corpora.id"], name=op.f("fk_idf_tables_corpus_id")),
        sa.PrimaryKeyConstraint("corpus_id", "segmentation", name=op.f("pk_idf_tables")),
    )


def downgrade() -> None:
    """Take the tables away, with their rows."""
    op.drop_table("idf_tables")
    op.drop_table("keywords")
