"""Run by Alembic with the connection that `fleet.store.opening` hands over, inside one transaction."""

from alembic import context

from fleet.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
