"""Every table, as SQLAlchemy Core declares it. Holds no query; the migrations in `migrations/` arrive at exactly this.

Instants are seconds since 1970 by the database's own clock. Digests are 32 raw bytes; a fingerprint is 32 hex digits.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Connection,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    event,
    false,
    text,
)
from sqlalchemy.dialects import postgresql

from storage import progress_triggers
from storage.states import JOB_STATES, RUN_STATES, SHARD_STATES, one_of

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite numbers rows by itself only in a column declared as plain INTEGER. Its tables are AUTOINCREMENT, because it
# would give the number of a deleted row to a new one, and numbers outlive their rows: in pieces, messages, outputs.
Id = BigInteger().with_variant(Integer, "sqlite")
# Words sort by code point on every database, whatever its locale, as Python sorts them.
Word = Text().with_variant(Text(collation="C"), "postgresql")
# A blob that is compressed already gains nothing from a second try by the database.
Blob = LargeBinary().with_variant(postgresql.BYTEA(), "postgresql")


def _id(name: str = "id") -> Column[int]:
    return Column(name, Id, primary_key=True, autoincrement=True)


corpora = Table(
    "corpora",
    metadata,
    _id(),
    Column("name", String(200), nullable=False, unique=True),
    Column("next_position", Integer, nullable=False, server_default="1", comment="for the next source"),
    Column("next_pack", Integer, nullable=False, server_default="1", comment="for the next pack"),
    Column("created_at", Double, nullable=False),
    sqlite_autoincrement=True,
)

sources = Table(
    "sources",
    metadata,
    _id(),
    Column("corpus_id", ForeignKey("corpora.id"), nullable=False),
    Column("position", Integer, nullable=False, comment="order of first addition to the corpus, from 1"),
    Column("uri", Text, nullable=False),
    Column("input", Text, nullable=False, comment="what the user named; refreshed as a whole"),
    Column("size", BigInteger, nullable=False, comment="bytes"),
    Column("stamp", String(200), nullable=False, comment="mtime or etag"),
    Column("options", Text, nullable=False, comment="reader options, canonical JSON"),
    Column("version", Integer, nullable=False, comment="raised whenever size, stamp or options change"),
    Column("shard_bytes", BigInteger, comment="chosen at the first planning, kept; null before"),
    Column("pack", Integer, comment="small sources with one number make one shard"),
    Column("cuts", Text, comment="JSON list of [offset, length], for a source of several shards"),
    UniqueConstraint("corpus_id", "uri"),
    Index("ix_sources_corpus_id_position", "corpus_id", "position"),
    sqlite_autoincrement=True,
)

documents = Table(
    "documents",
    metadata,
    _id(),
    Column("corpus_id", ForeignKey("corpora.id"), nullable=False),
    Column("key", Word, nullable=False),
    Column("source_id", Id, nullable=False, comment="0 when a producer gave the text itself"),
    Column("source_version", Integer, nullable=False, server_default="0"),
    Column("position", Integer, nullable=False, comment="of the source; of equal keys the highest wins"),
    Column("offset", BigInteger, nullable=False, server_default="0"),
    Column("length", BigInteger, nullable=False),
    Column("sha256", LargeBinary(32), nullable=False, comment="of the text in UTF-8"),
    Column("text", Text, comment="null when the document stands in a source"),
    Column("metadata", Text, comment="JSON object"),
    Column("pack", Integer, comment="documents enqueued together; one number makes one shard"),
    Column("created_at", Double, nullable=False),
    Index("ix_documents_corpus_id_key", "corpus_id", "key", "position", "offset", "id"),
    Index(
        "uq_documents_in_source",
        "corpus_id",
        "key",
        "source_id",
        "offset",
        unique=True,
        sqlite_where=text("source_id <> 0"),
        postgresql_where=text("source_id <> 0"),
    ),
    Index(
        "uq_documents_enqueued",
        "corpus_id",
        "key",
        "sha256",
        unique=True,
        sqlite_where=text("source_id = 0"),
        postgresql_where=text("source_id = 0"),
    ),
    Index(
        "ix_documents_pack",
        "corpus_id",
        "pack",
        "id",
        sqlite_where=text("source_id = 0"),
        postgresql_where=text("source_id = 0"),
    ),
    Index("ix_documents_source_id", "source_id"),
    sqlite_autoincrement=True,
)

jobs = Table(
    "jobs",
    metadata,
    _id(),
    Column("corpus_id", ForeignKey("corpora.id"), nullable=False),
    Column("operation", String(50), nullable=False),
    Column("parameters", Text, nullable=False, comment="JSON object"),
    Column("fingerprint", String(32), nullable=False),
    Column("state", String(20), nullable=False),
    Column("reason", Text, comment="why it failed or was stopped"),
    Column("priority", Integer, nullable=False, server_default="0", comment="higher first"),
    Column("partitions", Integer, nullable=False, server_default="1", comment="of its merge, a power of two"),
    Column("created_at", Double, nullable=False),
    Column("planner", String(32), comment="token of who plans it now"),
    Column("planner_until", Double, comment="silent for longer, a planner is taken for dead"),
    Column("below_position", Integer, comment="its sources are those of its corpus below this position"),
    Column("below_document", Id, comment="and its enqueued documents those below this id"),
    Column("seal_at", Double, comment="an open job takes enqueued documents until then"),
    Column("sealed_at", Double, comment="nothing is complete before"),
    Column("finished_at", Double),
    Column("generation_id", Id, comment="what its merge wrote"),
    Column("identical", BigInteger, nullable=False, server_default="0", comment="records that repeat a document"),
    Column("replaced", BigInteger, nullable=False, server_default="0", comment="records that a later one replaces"),
    CheckConstraint(one_of("state", JOB_STATES), name="state"),
    Index("ix_jobs_corpus_id_operation_fingerprint", "corpus_id", "operation", "fingerprint"),
    Index("ix_jobs_state", "state"),
    sqlite_autoincrement=True,
)

shards = Table(
    "shards",
    metadata,
    _id(),
    Column("job_id", ForeignKey("jobs.id"), nullable=False),
    Column("kind", String(5), nullable=False, comment="map or merge"),
    Column("state", String(10), nullable=False),
    Column("parent_id", Id),
    Column("half", Integer, comment="0 or 1; replayed dead letters number on from 2"),
    Column("root_key", LargeBinary(32), comment="digest of the planned pieces and their sources' versions"),
    Column("pieces", Text, comment="JSON: what to read"),
    Column("partition", Integer, comment="of a merge"),
    Column("bytes", BigInteger, nullable=False, server_default="0"),
    Column("not_before", Double, nullable=False, server_default="0"),
    Column("queued_at", Double),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("losses", Integer, nullable=False, server_default="0", comment="leases lost to a killed worker"),
    Column("deferrals", Integer, nullable=False, server_default="0", comment="tries while a source was away"),
    Column("token", String(32), comment="of the attempt that holds the lease"),
    Column("leased_by", String(200)),
    Column("lease_until", Double),
    Column("leased_at", Double),
    Column("finished_at", Double),
    Column("bytes_done", BigInteger, nullable=False, server_default="0", comment="while it runs"),
    Column("digest", LargeBinary(32), comment="of its content; names its partial counts"),
    Column("partitions", Integer, comment="of its partial counts"),
    Column("documents_in", BigInteger, nullable=False, server_default="0"),
    Column("results", BigInteger, nullable=False, server_default="0"),
    Column("dead", BigInteger, nullable=False, server_default="0"),
    Column("tokens", BigInteger, nullable=False, server_default="0"),
    Column("origin_id", Id, comment="the shard of an earlier job whose result this one is"),
    Column("error", Text, comment="of the last failure"),
    UniqueConstraint("parent_id", "half"),
    CheckConstraint(one_of("state", SHARD_STATES), name="state"),
    Index("ix_shards_job_id_state", "job_id", "state", "id"),
    Index("ix_shards_root_key", "root_key"),
    Index(
        "ix_shards_lease_until",
        "lease_until",
        sqlite_where=text("state = 'LEASED'"),
        postgresql_where=text("state = 'LEASED'"),
    ),
    Index(
        "ix_shards_job_id_leased_at",
        "job_id",
        "leased_at",
        sqlite_where=text("error IS NOT NULL"),
        postgresql_where=text("error IS NOT NULL"),
    ),
    # A shard's row is written anew at every step: by default the dead entries of a fifth of a million shards would
    # stand in front of the first that is due.
    postgresql_with={"autovacuum_vacuum_scale_factor": "0.05", "autovacuum_analyze_scale_factor": "0.05"},
    sqlite_autoincrement=True,
)

attempts = Table(
    "attempts",
    metadata,
    _id(),
    Column("shard_id", Id, nullable=False),
    Column("job_id", Id, nullable=False),
    Column("number", Integer, nullable=False),
    Column("token", String(32), nullable=False),
    Column("worker", String(200), nullable=False),
    Column("started_at", Double, nullable=False),
    Column("finished_at", Double),
    Column("outcome", String(20), comment="done, failed, deferred, split, dead, lost, cancelled; null while it runs"),
    Column("error", Text),
    Index("ix_attempts_shard_id", "shard_id"),
    Index("ix_attempts_job_id", "job_id"),
    Index("ix_attempts_finished_at", "finished_at"),
    sqlite_autoincrement=True,
)

partial_counts = Table(
    "partial_counts",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("fingerprint", String(32), primary_key=True),
    Column("partitions", Integer, primary_key=True, autoincrement=False),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("documents", BigInteger, nullable=False, comment="counted in the whole shard, in every partition's row"),
    Column("dead", BigInteger, nullable=False, comment="records of the shard that are no documents, likewise"),
    Column("tokens", BigInteger, nullable=False, comment="likewise"),
    Column("data", Blob, nullable=False, comment="Arrow IPC, zstd"),
)

generations = Table(
    "generations",
    metadata,
    _id(),
    Column("corpus_id", ForeignKey("corpora.id"), nullable=False),
    Column("fingerprint", String(32), nullable=False),
    Column("job_id", Id, nullable=False),
    Column("digest", LargeBinary(32), nullable=False, comment="of everything that was summed"),
    Column("published_at", Double, comment="readers see it from then on"),
    Index("ix_generations_corpus_id_fingerprint", "corpus_id", "fingerprint"),
    sqlite_autoincrement=True,
)

word_counts = Table(
    "word_counts",
    metadata,
    Column("generation_id", Id, primary_key=True, autoincrement=False),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False, comment="in code point order of the words"),
    Column("word", Word, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("documents", BigInteger, nullable=False),
    # No index holds the word itself: one token may be longer than a page of any B-tree.
    Index("ix_word_counts_generation_id_count", "generation_id", "count"),
)

tokens = Table(
    "tokens",
    metadata,
    Column("sha256", LargeBinary(32), primary_key=True),
    Column("fingerprint", String(32), primary_key=True),
    Column("count", Integer, nullable=False),
    Column("tokens", Text, nullable=False, comment="JSON list"),
)

label_sets = Table(
    "label_sets",
    metadata,
    _id(),
    Column("name", String(200), nullable=False),
    Column("version", String(50), nullable=False),
    Column("digest", LargeBinary(32), nullable=False, comment="of its labels in order, with their parents"),
    Column("created_at", Double, nullable=False),
    UniqueConstraint("name", "version", "digest"),
    sqlite_autoincrement=True,
)

# A label is never renamed: other words make another set, and results point at the one they were made with.
labels = Table(
    "labels",
    metadata,
    _id(),
    Column("label_set_id", ForeignKey("label_sets.id"), nullable=False),
    Column("position", Integer, nullable=False, comment="from 0; of its score among the packed scores"),
    Column("name", Word, nullable=False),
    Column("parent", Integer, comment="position of the label that it implies"),
    UniqueConstraint("label_set_id", "position"),
    sqlite_autoincrement=True,
)

models = Table(
    "models",
    metadata,
    _id(),
    Column("digest", String(64), nullable=False, comment="in hex, of all that decides its results"),
    Column("name", String(200), nullable=False),
    Column("version", String(50), nullable=False),
    Column("kind", String(20), nullable=False, comment="classifier or summarizer"),
    Column("backend", String(50), nullable=False, comment="which code loads it"),
    Column("path", Text, nullable=False, comment="absolute directory"),
    Column("label_set_id", ForeignKey("label_sets.id"), comment="of a classifier, once it has scored a document"),
    Column("metrics", Text, nullable=False, comment="JSON object: what was measured when it was made"),
    Column("is_default", Boolean, nullable=False, comment="taken where no model is named"),
    Column("created_at", Double, nullable=False),
    Column("superseded_at", Double, comment="when another took its name; results may still point at it"),
    Index("ix_models_digest", "digest"),
    Index(
        "uq_models_name",
        "kind",
        "name",
        unique=True,
        sqlite_where=text("superseded_at IS NULL"),
        postgresql_where=text("superseded_at IS NULL"),
    ),
    Index(
        "uq_models_default",
        "kind",
        unique=True,
        sqlite_where=text("is_default"),
        postgresql_where=text("is_default"),
    ),
    sqlite_autoincrement=True,
)

summaries = Table(
    "summaries",
    metadata,
    Column("sha256", LargeBinary(32), primary_key=True),
    Column("fingerprint", String(32), primary_key=True),
    Column("model", String(64), nullable=False, comment="digest of the model that made it"),
    Column("summary", Text, nullable=False),
    Column(
        "spans", Text, nullable=False, comment="JSON list of [from, to], characters of the text; empty if generated"
    ),
)

label_scores = Table(
    "label_scores",
    metadata,
    Column("sha256", LargeBinary(32), primary_key=True),
    Column("fingerprint", String(32), primary_key=True),
    Column("model", String(64), nullable=False, comment="digest of the model that scored it"),
    Column("label_set_id", Id, nullable=False),
    Column("scale", Double, nullable=False, comment="the probability of a score s is 1 / (1 + exp(-scale * s))"),
    Column("scores", Blob, nullable=False, comment="of every label by position, 4-byte little-endian floats"),
)

document_labels = Table(
    "document_labels",
    metadata,
    Column("sha256", LargeBinary(32), primary_key=True),
    Column("fingerprint", String(32), primary_key=True),
    Column("label_id", Id, primary_key=True, autoincrement=False),
    Column("score", Double, nullable=False, comment="probability"),
    Index("ix_document_labels_label_id_fingerprint", "label_id", "fingerprint"),
)

keywords = Table(
    "keywords",
    metadata,
    Column("sha256", LargeBinary(32), primary_key=True),
    Column("fingerprint", String(32), primary_key=True),
    Column(
        "keywords", Text, nullable=False, comment='JSON list of {"word", "weight"}, the weightiest first; may be empty'
    ),
)

# What keywords are weighed by does not change under them with every count: it is taken once, and again when asked for.
idf_tables = Table(
    "idf_tables",
    metadata,
    Column("corpus_id", ForeignKey("corpora.id"), primary_key=True),
    Column("segmentation", String(32), primary_key=True, comment="digest of how the words are cut and filtered"),
    Column("digest", String(64), nullable=False, comment="of the table among the resources"),
    Column("documents", BigInteger, nullable=False, comment="that were counted"),
    Column("words", BigInteger, nullable=False, comment="that the table holds; rarer ones need no row"),
    Column("generation_id", Id, nullable=False, comment="of the word counts that it was taken from"),
    Column("taken_at", Double, nullable=False),
)

batch_runs = Table(
    "batch_runs",
    metadata,
    _id(),
    Column("operation", String(50), nullable=False),
    Column("fingerprint", String(32), nullable=False),
    Column("model", String(64), nullable=False, comment="its digest"),
    Column("device", String(50), nullable=False),
    Column("finished_at", Double, nullable=False),
    Column("shards", Integer, nullable=False),
    Column("documents", BigInteger, nullable=False),
    Column("batches", Integer, nullable=False),
    Column("tokens", BigInteger, nullable=False, comment="positions that held text"),
    Column("padded_tokens", BigInteger, nullable=False, comment="positions that were computed"),
    Column("batch_fill", Double, nullable=False, comment="share of the token budget that was computed"),
    Column("token_budget", BigInteger, nullable=False, comment="at the end of the run"),
    Column("out_of_memory", Integer, nullable=False, comment="how often the device was too small"),
    Column("elapsed_s", Double, nullable=False),
    Column("forward_s", Double, nullable=False, comment="on the device"),
    Column("waiting_s", Double, nullable=False, comment="the device waited for data"),
    Column("writing_s", Double, nullable=False, comment="in the writing thread"),
    Index("ix_batch_runs_fingerprint", "fingerprint", "id"),
    sqlite_autoincrement=True,
)

dead_letters = Table(
    "dead_letters",
    metadata,
    _id(),
    Column("job_id", ForeignKey("jobs.id"), nullable=False),
    Column("shard_id", Id, nullable=False),
    Column("source_id", Id, nullable=False, comment="0 when a producer gave the text itself"),
    Column("source", Text, nullable=False),
    Column("line", BigInteger),
    Column("offset", BigInteger, nullable=False),
    Column("length", BigInteger, nullable=False),
    Column("document_id", Id, nullable=False, server_default="0", comment="0 when it stands in a source"),
    Column("key", Text),
    Column("reason", String(40), nullable=False),
    Column("detail", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("state", String(10), nullable=False, comment="standing, discarded or replayed"),
    Column("created_at", Double, nullable=False),
    Index("uq_dead_letters_place", "shard_id", "source_id", "offset", "document_id", unique=True),
    Index("ix_dead_letters_job_id", "job_id"),
    Index(
        "ix_dead_letters_standing",
        "reason",
        sqlite_where=text("state = 'standing'"),
        postgresql_where=text("state = 'standing'"),
    ),
    sqlite_autoincrement=True,
)

schedules = Table(
    "schedules",
    metadata,
    _id(),
    Column("name", String(200), nullable=False, unique=True),
    Column("corpus", String(200), nullable=False),
    Column("operations", Text, nullable=False, comment="JSON list"),
    Column("options", Text, nullable=False, comment="of the operations, JSON object, as the user gave them"),
    Column("listing", Text, nullable=False, comment="how inputs are read, JSON object"),
    Column("inputs", Text, nullable=False, comment="JSON list; what is listed anew before each run, if anything"),
    Column("shard_bytes", BigInteger),
    Column("priority", Integer, nullable=False, server_default="0"),
    Column("cron", String(200), nullable=False, comment="five fields"),
    Column("timezone", String(100), nullable=False, comment="as the IANA names it"),
    Column("overlap", String(5), nullable=False, comment="skip or queue"),
    Column("grace_s", Double, nullable=False, comment="a run that is later is missed"),
    Column("document_limit", BigInteger, comment="new documents of a run, about"),
    Column("finish_by", String(5), comment="HH:MM in its time zone"),
    Column("paused", Boolean, nullable=False, server_default=false()),
    Column("next_at", Double, comment="when it is due; null when it never is"),
    Column("created_at", Double, nullable=False),
    Index("ix_schedules_next_at", "next_at"),
    sqlite_autoincrement=True,
)

schedule_runs = Table(
    "schedule_runs",
    metadata,
    _id(),
    Column("schedule_id", Id, nullable=False),
    Column("name", String(200), nullable=False, comment="of its schedule, which may be removed before it"),
    Column("fire_time", Double, nullable=False, comment="the instant at which it was due"),
    Column("timezone", String(100), nullable=False),
    Column("trigger", String(6), nullable=False, comment="cron or manual"),
    Column("state", String(20), nullable=False),
    Column("detail", Text, comment="why it is as it is"),
    Column("created_at", Double, nullable=False),
    Column("starter", String(32), comment="token of who starts it now"),
    Column("starter_until", Double, comment="silent for longer, a starter is taken for dead"),
    Column("starts", Integer, nullable=False, server_default="0", comment="tries of starting it"),
    Column("started_at", Double, comment="all its jobs are there and planned"),
    Column("stop_at", Double, comment="what of it still runs then is stopped"),
    Column("finished_at", Double),
    UniqueConstraint("schedule_id", "fire_time"),
    CheckConstraint(one_of("state", RUN_STATES), name="state"),
    Index("ix_schedule_runs_name", "name", "fire_time"),
    Index(
        "ix_schedule_runs_state",
        "state",
        sqlite_where=text("state IN ('WAITING', 'RUNNING')"),
        postgresql_where=text("state IN ('WAITING', 'RUNNING')"),
    ),
    sqlite_autoincrement=True,
)

schedule_jobs = Table(
    "schedule_jobs",
    metadata,
    Column("run_id", Id, primary_key=True, autoincrement=False),
    Column("job_id", Id, primary_key=True, autoincrement=False),
    Column("joined", Boolean, nullable=False, comment="it was under way already, and keeps to no limit of the run"),
    Index("ix_schedule_jobs_job_id", "job_id"),
)

job_limits = Table(
    "job_limits",
    metadata,
    Column("job_id", Id, primary_key=True, autoincrement=False),
    Column("document_limit", BigInteger, comment="documents that it may compute, about"),
    Column("stop_at", Double, comment="what of it still runs then is stopped"),
    Column("lease_before", Double, comment="nothing of it is leased from then on"),
    Column("timezone", String(100), nullable=False, comment="in which its reason names the time"),
)

job_progress = Table(
    "job_progress",
    metadata,
    Column("job_id", Id, primary_key=True, autoincrement=False),
    Column("kind", String(5), primary_key=True, comment="of the shards: map or merge"),
    Column("slot", BigInteger, primary_key=True, autoincrement=False, comment="several, so that nobody waits"),
    *(Column(name, BigInteger, nullable=False, server_default="0") for name in progress_triggers.LEVELS),
    *(
        Column(name, BigInteger, nullable=False, server_default="0", comment="since ever; never falls")
        for name in progress_triggers.EVER
    ),
    # Room on every page: the rows are changed all the time, and a row that stays on its page costs no index entry.
    postgresql_with={"fillfactor": "25"},
)


@event.listens_for(metadata, "after_create")
def _make_triggers(_: MetaData, connection: Connection, **__: Any) -> None:
    for statement in progress_triggers.create(connection.dialect.name):
        connection.exec_driver_sql(statement)


resources = Table(
    "resources",
    metadata,
    Column("digest", String(64), primary_key=True, comment="sha256 in hex"),
    Column("data", Blob, nullable=False, comment="user dictionaries and stop word lists, as they were given"),
)

marks = Table(
    "marks",
    metadata,
    Column("name", String(50), primary_key=True, comment="broker_epoch, reconciled_at, …"),
    Column("value", Text, nullable=False),
)

# Declared beside this file; whoever makes or compares all tables must know them.
from storage import duplicate_tables, figure_tables, new_word_tables  # noqa: E402, F401 - they need `metadata`
