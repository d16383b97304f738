"""The first tables, with their indexes and checks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    "corpora",
    "sources",
    "documents",
    "jobs",
    "shards",
    "attempts",
    "partial_counts",
    "generations",
    "word_counts",
    "tokens",
    "dead_letters",
    "resources",
    "marks",
)

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
WORD = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make every table."""
    _create_corpora()
    _create_sources()
    _create_documents()
    _create_jobs()
    _create_shards()
    _create_attempts()
    _create_partial_counts()
    _create_generations()
    _create_word_counts()
    _create_tokens()
    _create_dead_letters()
    _create_resources()
    _create_marks()


def downgrade() -> None:
    """Drop every table with its rows."""
    for table in reversed(TABLES):
        op.drop_table(table)


def _create_corpora() -> None:
    op.create_table(
        "corpora",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("next_position", sa.Integer(), server_default="1", nullable=False, comment="for the next source"),
        sa.Column("next_pack", sa.Integer(), server_default="1", nullable=False, comment="for the next pack"),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_corpora")),
        sa.UniqueConstraint("name", name=op.f("uq_corpora_name")),
        sqlite_autoincrement=True,
    )


def _create_sources() -> None:
    op.create_table(
        "sources",
        sa.Column("id", ID, nullable=False),
        sa.Column("corpus_id", ID, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False, comment="order of first addition to the corpus, from 1"),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("input", sa.Text(), nullable=False, comment="what the user named; refreshed as a whole"),
        sa.Column("size", sa.BigInteger(), nullable=False, comment="bytes"),
        sa.Column("stamp", sa.String(length=200), nullable=False, comment="mtime or etag"),
        sa.Column("options", sa.Text(), nullable=False, comment="reader options, canonical JSON"),
        sa.Column("version", sa.Integer(), nullable=False, comment="raised whenever size, stamp or options change"),
        sa.Column("shard_bytes", sa.BigInteger(), comment="chosen at the first planning, kept; null before"),
        sa.Column("pack", sa.Integer(), comment="small sources with one number make one shard"),
        sa.Column("cuts", sa.Text(), comment="JSON list of [offset, length], for a source of several shards"),
        sa.ForeignKeyConstraint(["corpus_id"], ["corpora.id"], name=op.f("fk_sources_corpus_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sources")),
        sa.UniqueConstraint("corpus_id", "uri", name=op.f("uq_sources_corpus_id_uri")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_sources_corpus_id_position", "sources", ["corpus_id", "position"])


def _create_documents() -> None:
    op.create_table(
        "documents",
        sa.Column("id", ID, nullable=False),
        sa.Column("corpus_id", ID, nullable=False),
        sa.Column("key", WORD, nullable=False),
        sa.Column("source_id", ID, nullable=False, comment="0 when a producer gave the text itself"),
        sa.Column("source_version", sa.Integer(), server_default="0", nullable=False),
        sa.Column("position", sa.Integer(), nullable=False, comment="of the source; of equal keys the highest wins"),
        sa.Column("offset", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("length", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(length=32), nullable=False, comment="of the text in UTF-8"),
        sa.Column("text", sa.Text(), comment="null when the document stands in a source"),
        sa.Column("metadata", sa.Text(), comment="JSON object"),
        sa.Column("pack", sa.Integer(), comment="documents enqueued together; one number makes one shard"),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["corpus_id"], ["corpora.id"], name=op.f("fk_documents_corpus_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_documents")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_documents_corpus_id_key", "documents", ["corpus_id", "key", "position", "offset", "id"])
    op.create_index(
        "ix_documents_pack",
        "documents",
        ["corpus_id", "pack", "id"],
        sqlite_where=sa.text("source_id = 0"),
        postgresql_where=sa.text("source_id = 0"),
    )
    op.create_index("ix_documents_source_id", "documents", ["source_id"])
    op.create_index(
        "uq_documents_enqueued",
        "documents",
        ["corpus_id", "key", "sha256"],
        unique=True,
        sqlite_where=sa.text("source_id = 0"),
        postgresql_where=sa.text("source_id = 0"),
    )
    op.create_index(
        "uq_documents_in_source",
        "documents",
        ["corpus_id", "key", "source_id", "offset"],
        unique=True,
        sqlite_where=sa.text("source_id <> 0"),
        postgresql_where=sa.text("source_id <> 0"),
    )


def _create_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", ID, nullable=False),
        sa.Column("corpus_id", ID, nullable=False),
        sa.Column("operation", sa.String(length=50), nullable=False),
        sa.Column("parameters", sa.Text(), nullable=False, comment="JSON object"),
        sa.Column("fingerprint", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.Text(), comment="why it failed or was stopped"),
        sa.Column("priority", sa.Integer(), server_default="0", nullable=False, comment="higher first"),
        sa.Column(
            "partitions", sa.Integer(), server_default="1", nullable=False, comment="of its merge, a power of two"
        ),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("planner", sa.String(length=32), comment="token of who plans it now"),
        sa.Column("planner_until", sa.Double(), comment="silent for longer, a planner is taken for dead"),
        sa.Column("below_position", sa.Integer(), comment="its sources are those of its corpus below this position"),
        sa.Column("below_document", ID, comment="and its enqueued documents those below this id"),
        sa.Column("seal_at", sa.Double(), comment="an open job takes enqueued documents until then"),
        sa.Column("sealed_at", sa.Double(), comment="nothing is complete before"),
        sa.Column("finished_at", sa.Double()),
        sa.Column("generation_id", ID, comment="what its merge wrote"),
        sa.Column(
            "identical", sa.BigInteger(), server_default="0", nullable=False, comment="records that repeat a document"
        ),
        sa.Column(
            "replaced", sa.BigInteger(), server_default="0", nullable=False, comment="records that a later one replaces"
        ),
        sa.CheckConstraint(
            "state IN ('PLANNING', 'RUNNING', 'MERGING', 'PAUSED', 'DONE', 'DONE_WITH_DEAD', 'CANCELLED', "
            "'FAILED', 'STOPPED')",
            name=op.f("ck_jobs_state"),
        ),
        sa.ForeignKeyConstraint(["corpus_id"], ["corpora.id"], name=op.f("fk_jobs_corpus_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_jobs_corpus_id_operation_fingerprint", "jobs", ["corpus_id", "operation", "fingerprint"])
    op.create_index("ix_jobs_state", "jobs", ["state"])


def _create_shards() -> None:
    op.create_table(
        "shards",
        sa.Column("id", ID, nullable=False),
        sa.Column("job_id", ID, nullable=False),
        sa.Column("kind", sa.String(length=5), nullable=False, comment="map or merge"),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("parent_id", ID),
        sa.Column("half", sa.Integer(), comment="0 or 1; replayed dead letters number on from 2"),
        sa.Column(
            "root_key", sa.LargeBinary(length=32), comment="digest of the planned pieces and their sources' versions"
        ),
        sa.Column("pieces", sa.Text(), comment="JSON: what to read"),
        sa.Column("partition", sa.Integer(), comment="of a merge"),
        sa.Column("bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("not_before", sa.Double(), server_default="0", nullable=False),
        sa.Column("queued_at", sa.Double()),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("losses", sa.Integer(), server_default="0", nullable=False, comment="leases lost to a killed worker"),
        sa.Column(
            "deferrals", sa.Integer(), server_default="0", nullable=False, comment="tries while a source was away"
        ),
        sa.Column("token", sa.String(length=32), comment="of the attempt that holds the lease"),
        sa.Column("leased_by", sa.String(length=200)),
        sa.Column("lease_until", sa.Double()),
        sa.Column("leased_at", sa.Double()),
        sa.Column("finished_at", sa.Double()),
        sa.Column("bytes_done", sa.BigInteger(), server_default="0", nullable=False, comment="while it runs"),
        sa.Column("digest", sa.LargeBinary(length=32), comment="of its content; names its partial counts"),
        sa.Column("partitions", sa.Integer(), comment="of its partial counts"),
        sa.Column("documents_in", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("results", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("dead", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("origin_id", ID, comment="the shard of an earlier job whose result this one is"),
        sa.Column("error", sa.Text(), comment="of the last failure"),
        sa.CheckConstraint(
            "state IN ('PENDING', 'QUEUED', 'LEASED', 'DONE', 'SPLIT', 'DEAD')", name=op.f("ck_shards_state")
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_shards_job_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shards")),
        sa.UniqueConstraint("parent_id", "half", name=op.f("uq_shards_parent_id_half")),
        sqlite_autoincrement=True,
    )
    _index_shards()


def _index_shards() -> None:
    op.create_index("ix_shards_job_id_state", "shards", ["job_id", "state", "id"])
    op.create_index(
        "ix_shards_lease_until",
        "shards",
        ["lease_until"],
        sqlite_where=sa.text("state = 'LEASED'"),
        postgresql_where=sa.text("state = 'LEASED'"),
    )
    op.create_index("ix_shards_root_key", "shards", ["root_key"])


def _create_attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("id", ID, nullable=False),
        sa.Column("shard_id", ID, nullable=False),
        sa.Column("job_id", ID, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("token", sa.String(length=32), nullable=False),
        sa.Column("worker", sa.String(length=200), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("finished_at", sa.Double()),
        sa.Column(
            "outcome",
            sa.String(length=20),
            comment="done, failed, deferred, split, dead, lost, cancelled; null while it runs",
        ),
        sa.Column("error", sa.Text()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempts")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_attempts_job_id", "attempts", ["job_id"])
    op.create_index("ix_attempts_shard_id", "attempts", ["shard_id"])


def _create_partial_counts() -> None:
    op.create_table(
        "partial_counts",
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("fingerprint", sa.String(length=32), nullable=False),
        sa.Column("partitions", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column(
            "documents", sa.BigInteger(), nullable=False, comment="counted in the whole shard, in every partition's row"
        ),
        sa.Column(
            "dead", sa.BigInteger(), nullable=False, comment="records of the shard that are no documents, likewise"
        ),
        sa.Column("tokens", sa.BigInteger(), nullable=False, comment="likewise"),
        sa.Column("data", sa.LargeBinary(), nullable=False, comment="Arrow IPC, zstd"),
        sa.PrimaryKeyConstraint("digest", "fingerprint", "partitions", "partition", name=op.f("pk_partial_counts")),
    )


def _create_generations() -> None:
    op.create_table(
        "generations",
        sa.Column("id", ID, nullable=False),
        sa.Column("corpus_id", ID, nullable=False),
        sa.Column("fingerprint", sa.String(length=32), nullable=False),
        sa.Column("job_id", ID, nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False, comment="of everything that was summed"),
        sa.Column("published_at", sa.Double(), comment="readers see it from then on"),
        sa.ForeignKeyConstraint(["corpus_id"], ["corpora.id"], name=op.f("fk_generations_corpus_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_generations")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_generations_corpus_id_fingerprint", "generations", ["corpus_id", "fingerprint"])


def _create_word_counts() -> None:
    op.create_table(
        "word_counts",
        sa.Column("generation_id", ID, autoincrement=False, nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column(
            "position", sa.Integer(), autoincrement=False, nullable=False, comment="in code point order of the words"
        ),
        sa.Column("word", WORD, nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("documents", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("generation_id", "partition", "position", name=op.f("pk_word_counts")),
    )
    op.create_index("ix_word_counts_generation_id_count", "word_counts", ["generation_id", "count"])


def _create_tokens() -> None:
    op.create_table(
        "tokens",
        sa.Column("sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("fingerprint", sa.String(length=32), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("tokens", sa.Text(), nullable=False, comment="JSON list"),
        sa.PrimaryKeyConstraint("sha256", "fingerprint", name=op.f("pk_tokens")),
    )


def _create_dead_letters() -> None:
    op.create_table(
        "dead_letters",
        sa.Column("id", ID, nullable=False),
        sa.Column("job_id", ID, nullable=False),
        sa.Column("shard_id", ID, nullable=False),
        sa.Column("source_id", ID, nullable=False, comment="0 when a producer gave the text itself"),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("line", sa.BigInteger()),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("length", sa.BigInteger(), nullable=False),
        sa.Column("document_id", ID, server_default="0", nullable=False, comment="0 when it stands in a source"),
        sa.Column("key", sa.Text()),
        sa.Column("reason", sa.String(length=40), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False, comment="standing, discarded or replayed"),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_dead_letters_job_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dead_letters")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_dead_letters_job_id", "dead_letters", ["job_id"])
    op.create_index(
        "uq_dead_letters_place", "dead_letters", ["shard_id", "source_id", "offset", "document_id"], unique=True
    )


def _create_resources() -> None:
    op.create_table(
        "resources",
        sa.Column("digest", sa.String(length=64), nullable=False, comment="sha256 in hex"),
        sa.Column(
            "data",
            sa.LargeBinary(),
            nullable=False,
            comment="user dictionaries and stop word lists, as they were given",
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_resources")),
    )


def _create_marks() -> None:
    op.create_table(
        "marks",
        sa.Column("name", sa.String(length=50), nullable=False, comment="broker_epoch, reconciled_at, …"),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_marks")),
    )
