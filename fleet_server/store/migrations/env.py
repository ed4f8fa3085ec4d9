"""Alembic's entry: run migrations on the connection that the server hands over."""

from alembic import context

from fleet_server.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
context.run_migrations()
