"""Models, label sets, and the results of models: summaries, scores, labels."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = ("label_sets", "labels", "models", "summaries", "label_scores", "document_labels")

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
WORD = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables."""
    _create_label_sets()
    _create_labels()
    _create_models()
    _create_summaries()
    _create_label_scores()
    _create_document_labels()


def downgrade() -> None:
    """Drop the tables with their rows."""
    for table in reversed(TABLES):
        op.drop_table(table)


def _create_label_sets() -> None:
    op.create_table(
        "label_sets",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("version", sa.String(length=50), nullable=False),
        sa.Column(
            "digest", sa.LargeBinary(length=32), nullable=False, comment="of its labels in order, with their parents"
        ),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_label_sets")),
        sa.UniqueConstraint("name", "version", "digest", name=op.f("uq_label_sets_name_version_digest")),
        sqlite_autoincrement=True,
    )


def _create_labels() -> None:
    op.create_table(
        "labels",
        sa.Column("id", ID, nullable=False),
        sa.Column("label_set_id", ID, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False, comment="from 0; of its score among the packed scores"),
        sa.Column("name", WORD, nullable=False),
        sa.Column("parent", sa.Integer(), comment="position of the label that it implies"),
        sa.ForeignKeyConstraint(["label_set_id"], ["label_sets.id"], name=op.f("fk_labels_label_set_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_labels")),
        sa.UniqueConstraint("label_set_id", "position", name=op.f("uq_labels_label_set_id_position")),
        sqlite_autoincrement=True,
    )


def _create_models() -> None:
    op.create_table(
        "models",
        sa.Column("id", ID, nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False, comment="in hex, of all that decides its results"),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("version", sa.String(length=50), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False, comment="classifier or summarizer"),
        sa.Column("backend", sa.String(length=50), nullable=False, comment="which code loads it"),
        sa.Column("path", sa.Text(), nullable=False, comment="absolute directory"),
        sa.Column("label_set_id", ID, comment="of a classifier, once it has scored a document"),
        sa.Column("metrics", sa.Text(), nullable=False, comment="JSON object: what was measured when it was made"),
        sa.Column("is_default", sa.Boolean(), nullable=False, comment="taken where no model is named"),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("superseded_at", sa.Double(), comment="when another took its name; results may still point at it"),
        sa.ForeignKeyConstraint(["label_set_id"], ["label_sets.id"], name=op.f("fk_models_label_set_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_models")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_models_digest", "models", ["digest"])
    op.create_index(
        "uq_models_default",
        "models",
        ["kind"],
        unique=True,
        sqlite_where=sa.text("is_default"),
        postgresql_where=sa.text("is_default"),
    )
    op.create_index(
        "uq_models_name",
        "models",
        ["kind", "name"],
        unique=True,
        sqlite_where=sa.text("superseded_at IS NULL"),
        postgresql_where=sa.text("superseded_at IS NULL"),
    )


def _create_summaries() -> None:
    op.create_table(
        "summaries",
        sa.Column("sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("fingerprint", sa.String(length=32), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False, comment="digest of the model that made it"),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column(
            "spans",
            sa.Text(),
            nullable=False,
            comment="JSON list of [from, to], characters of the text; empty if generated",
        ),
        sa.PrimaryKeyConstraint("sha256", "fingerprint", name=op.f("pk_summaries")),
    )


def _create_label_scores() -> None:
    op.create_table(
        "label_scores",
        sa.Column("sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("fingerprint", sa.String(length=32), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False, comment="digest of the model that scored it"),
        sa.Column("label_set_id", ID, nullable=False),
        sa.Column(
            "scale", sa.Double(), nullable=False, comment="the probability of a score s is 1 / (1 + exp(-scale * s))"
        ),
        sa.Column(
            "scores",
            sa.LargeBinary(),
            nullable=False,
            comment="of every label by position, 4-byte little-endian floats",
        ),
        sa.PrimaryKeyConstraint("sha256", "fingerprint", name=op.f("pk_label_scores")),
    )


def _create_document_labels() -> None:
    op.create_table(
        "document_labels",
        sa.Column("sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("fingerprint", sa.String(length=32), nullable=False),
        sa.Column("label_id", ID, autoincrement=False, nullable=False),
        sa.Column("score", sa.Double(), nullable=False, comment="probability"),
        sa.PrimaryKeyConstraint("sha256", "fingerprint", "label_id", name=op.f("pk_document_labels")),
    )
    op.create_index("ix_document_labels_label_id_fingerprint", "document_labels", ["label_id", "fingerprint"])
