"""How Alembic meets the database: always on a connection that the store hands over, inside its transaction."""

from alembic import context

from emw.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,  # SQLite too: the store begins the transaction itself
    render_as_batch=True,
)
context.run_migrations()
