"""Schedules, what became of each time one of them was due, and the limits that their jobs keep to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None
#: It only adds tables; earlier programs go on beside it (but know no schedules, limits or hours to finish by).
oldest_program = "0003"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
RUN_STATES = "'WAITING', 'RUNNING', 'DONE', 'DONE_WITH_DEAD', 'STOPPED', 'CANCELLED', 'FAILED', 'SKIPPED', 'MISSED'"
GOES_ON = sa.text("state IN ('WAITING', 'RUNNING')")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "schedules",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("corpus", sa.String(length=200), nullable=False),
        sa.Column("operations", sa.Text(), nullable=False, comment="JSON list"),
        sa.Column(
            "options", sa.Text(), nullable=False, comment="of the operations, JSON object, as the user gave them"
        ),
        sa.Column("listing", sa.Text(), nullable=False, comment="how inputs are read, JSON object"),
        sa.Column(
            "inputs", sa.Text(), nullable=False, comment="JSON list; what is listed anew before each run, if anything"
        ),
        sa.Column("shard_bytes", sa.BigInteger(), nullable=True),
        sa.Column("priority", sa.Integer(), server_default="0", nullable=False),
        sa.Column("cron", sa.String(length=200), nullable=False, comment="five fields"),
        sa.Column("timezone", sa.String(length=100), nullable=False, comment="as the IANA names it"),
        sa.Column("overlap", sa.String(length=5), nullable=False, comment="skip or queue"),
        sa.Column("grace_s", sa.Double(), nullable=False, comment="a run that is later is missed"),
        sa.Column("document_limit", sa.BigInteger(), nullable=True, comment="new documents of a run, about"),
        sa.Column("finish_by", sa.String(length=5), nullable=True, comment="HH:MM in its time zone"),
        sa.Column("paused", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("next_at", sa.Double(), nullable=True, comment="when it is due; null when it never is"),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedules")),
        sa.UniqueConstraint("name", name=op.f("uq_schedules_name")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_schedules_next_at", "schedules", ["next_at"])
    op.create_table(
        "schedule_runs",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("schedule_id", ID, nullable=False),
        sa.Column(
            "name", sa.String(length=200), nullable=False, comment="of its schedule, which may be removed before it"
        ),
        sa.Column("fire_time", sa.Double(), nullable=False, comment="the instant at which it was due"),
        sa.Column("timezone", sa.String(length=100), nullable=False),
        sa.Column("trigger", sa.String(length=6), nullable=False, comment="cron or manual"),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True, comment="why it is as it is"),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("starter", sa.String(length=32), nullable=True, comment="token of who starts it now"),
        sa.Column(
            "starter_until", sa.Double(), nullable=True, comment="silent for longer, a starter is taken for dead"
        ),
        sa.Column("starts", sa.Integer(), server_default="0", nullable=False, comment="tries of starting it"),
        sa.Column("started_at", sa.Double(), nullable=True, comment="all its jobs are there and planned"),
        sa.Column("stop_at", sa.Double(), nullable=True, comment="what of it still runs then is stopped"),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.CheckConstraint(f"state IN ({RUN_STATES})", name=op.f("ck_schedule_runs_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedule_runs")),
        sa.UniqueConstraint("schedule_id", "fire_time", name=op.f("uq_schedule_runs_schedule_id_fire_time")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_schedule_runs_name", "schedule_runs", ["name", "fire_time"])
    op.create_index(
        "ix_schedule_runs_state", "schedule_runs", ["state"], sqlite_where=GOES_ON, postgresql_where=GOES_ON
    )
    op.create_table(
        "schedule_jobs",
        sa.Column("run_id", ID, autoincrement=False, nullable=False),
        sa.Column("job_id", ID, autoincrement=False, nullable=False),
        sa.Column(
            "joined", sa.Boolean(), nullable=False, comment="it was under way already, and keeps to no limit of the run"
        ),
        sa.PrimaryKeyConstraint("run_id", "job_id", name=op.f("pk_schedule_jobs")),
    )
    op.create_index("ix_schedule_jobs_job_id", "schedule_jobs", ["job_id"])
    op.create_table(
        "job_limits",
        sa.Column("job_id", ID, autoincrement=False, nullable=False),
        sa.Column("document_limit", sa.BigInteger(), nullable=True, comment="documents that it may compute, about"),
        sa.Column("stop_at", sa.Double(), nullable=True, comment="what of it still runs then is stopped"),
        sa.Column("lease_before", sa.Double(), nullable=True, comment="nothing of it is leased from then on"),
        sa.Column("timezone", sa.String(length=100), nullable=False, comment="in which its reason names the time"),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_job_limits")),
    )


def downgrade() -> None:
    """Drop the tables with their rows."""
    for table in ("job_limits", "schedule_jobs", "schedule_runs", "schedules"):
        op.drop_table(table)
