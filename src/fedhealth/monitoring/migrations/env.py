"""Read by Alembic: runs the migrations on the connection that the store hands over."""

from alembic import context

from fedhealth.monitoring.tables import Table

context.configure(connection=context.config.attributes["connection"], target_metadata=Table.metadata)
with context.begin_transaction():
    context.run_migrations()
