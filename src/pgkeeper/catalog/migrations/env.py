"""What Alembic runs: all missing steps in the transaction that is open already."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
context.run_migrations()
