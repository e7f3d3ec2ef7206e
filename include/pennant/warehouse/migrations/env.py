"""Run migrations on the connection that `pennant.warehouse.engine.migrate` opened, in its transaction."""

from alembic import context

from pennant.warehouse.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
