"""Alembic's entry: runs on the connection that `migrations.run` hands over, in its transaction."""

from __future__ import annotations

from alembic import context

from services.taskstate.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    compare_type=True,
    compare_server_default=True,
)
context.run_migrations()
