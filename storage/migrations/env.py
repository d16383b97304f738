"""Run by Alembic: applies the migrations over the connection that `storage.migrate` hands in. Opens none itself."""

from __future__ import annotations

from alembic import context

from storage.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite can take back a CREATE TABLE too, because the engine begins every transaction itself.
    transactional_ddl=True,
    # SQLite cannot alter most things in place; Alembic then copies the table.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
