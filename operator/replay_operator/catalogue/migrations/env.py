"""How alembic runs the migrations: on the connection that it is given, in that connection's transaction."""

from __future__ import annotations

from alembic import context

from replay_operator.catalogue.tables import BufferSession

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=BufferSession.metadata,
    render_as_batch=True,  # SQLite changes few things of a table in place
)
with context.begin_transaction():
    context.run_migrations()
