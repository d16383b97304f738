"""Counters of what each job has come to, so that its status need not read its shards; kept by triggers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from storage import progress_triggers

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None
#: The triggers count for earlier programs too.
oldest_program = "0003"

#: When PostgreSQL cleans up after the shards that changed, as shares of all.
VACUUM = {"autovacuum_vacuum_scale_factor": "0.05", "autovacuum_analyze_scale_factor": "0.05"}

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the table, count what is there, and count along from then on."""
    op.create_table(
        "job_progress",
        sa.Column("job_id", ID, autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=5), nullable=False, comment="of the shards: map or merge"),
        sa.Column(
            "slot", sa.BigInteger(), autoincrement=False, nullable=False, comment="several, so that nobody waits"
        ),
        *(sa.Column(name, sa.BigInteger(), server_default="0", nullable=False) for name in progress_triggers.LEVELS),
        *(
            sa.Column(name, sa.BigInteger(), server_default="0", nullable=False, comment="since ever; never falls")
            for name in progress_triggers.EVER
        ),
        sa.PrimaryKeyConstraint("job_id", "kind", "slot", name=op.f("pk_job_progress")),
        postgresql_with={"fillfactor": "25"},
    )
    op.create_index("ix_attempts_finished_at", "attempts", ["finished_at"])
    op.create_index(
        "ix_dead_letters_standing",
        "dead_letters",
        ["reason"],
        sqlite_where=sa.text("state = 'standing'"),
        postgresql_where=sa.text("state = 'standing'"),
    )
    op.create_index(
        "ix_shards_job_id_leased_at",
        "shards",
        ["job_id", "leased_at"],
        sqlite_where=sa.text("error IS NOT NULL"),
        postgresql_where=sa.text("error IS NOT NULL"),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"ALTER TABLE shards SET ({', '.join(f'{name} = {value}' for name, value in VACUUM.items())})")
    # The triggers first: making them keeps every writer of shards out until this transaction has counted.
    for statement in progress_triggers.create(op.get_bind().dialect.name):
        op.execute(statement)
    op.execute(progress_triggers.fill())


def downgrade() -> None:
    """Take the triggers away, and the table with its rows."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"ALTER TABLE shards RESET ({', '.join(VACUUM)})")
    for statement in progress_triggers.drop(op.get_bind().dialect.name):
        op.execute(statement)
    op.drop_index("ix_shards_job_id_leased_at", "shards")
    op.drop_index("ix_dead_letters_standing", "dead_letters")
    op.drop_index("ix_attempts_finished_at", "attempts")
    op.drop_table("job_progress")
