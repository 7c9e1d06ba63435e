"""pg_cron: an extension that lets itself be made only in the database that `cron.database_name` names.

A database is built under another name than it will have, and a copy beside keeps another one. The extension's script asks for the name
just once, and takes `contrib_regression` as well, for its own tests (pg_cron--1.0.sql). So the new database, which is empty still, has
that name within the transaction that makes the extension, and within that alone: nobody else ever sees it, and nothing is left where it
is cut off.

What is in `cron.job` is restored like all other rows. Jobs are run by one process of the server, which reads them in the database that
`cron.database_name` names; so a copy's jobs rest, and those of a database that takes production's place run.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from pgkeeper.model.errors import OperationFailed, RefusedError
from pgkeeper.model.manifest import DatabaseFacts
from pgkeeper.postgres.server import Session

_EXTENSION = "pg_cron"
_TAKEN_BY_ITS_SCRIPT = "contrib_regression"
_RENAME = "UPDATE pg_catalog.pg_database SET datname = %s WHERE datname = %s"


def has_pg_cron(facts: DatabaseFacts) -> bool:
    """Tell whether a database that was backed up has the extension."""
    return _EXTENSION in {extension.name for extension in facts.extensions}


def scheduling_database(session: Session) -> str | None:
    """Return the name of the database whose jobs this server runs; None where pg_cron is not loaded with the server."""
    row = session.execute("SELECT current_setting('cron.database_name', true) AS name").fetchone()
    return (row["name"] or None) if row else None


def require_pg_cron(session: Session) -> None:
    """Raise OperationFailed where the server did not load pg_cron when it started: nothing of the extension can be made then."""
    if scheduling_database(session) is None:
        raise OperationFailed(
            "this server does not load pg_cron, which the backup needs",
            "the extension can be made only where shared_preload_libraries names it",
            "add pg_cron to shared_preload_libraries and restart PostgreSQL; the jobs that then run are those of the database that"
            " cron.database_name names",
        )


def is_pg_cron(kind: str) -> bool:
    """Tell whether an entry of a dump, by its `kind` as pg_restore lists it, makes the extension."""
    return kind.startswith(f"EXTENSION - {_EXTENSION} ")


@contextmanager
def named_for_pg_cron(session: Session) -> Iterator[None]:
    """Let pg_cron be made in the session's own database within the block, which must lie in a transaction.

    The database must be nobody's but ours, and empty still: the script runs as a superuser. Raises RefusedError where a database has the
    name that stands in for it.
    """
    name = session.info.dbname
    try:
        session.execute(_RENAME, (_TAKEN_BY_ITS_SCRIPT, name))
    except psycopg.errors.UniqueViolation as error:
        raise RefusedError(
            f"a database {_TAKEN_BY_ITS_SCRIPT} stands in the way of a restore",
            "extension pg_cron can be made under that name only, which the restored database has in the meantime",
            f"rename it until the restore is done: ALTER DATABASE {_TAKEN_BY_ITS_SCRIPT} RENAME TO other_name",
        ) from error
    yield
    session.execute(_RENAME, (name, _TAKEN_BY_ITS_SCRIPT))


def resting_jobs(session: Session, database: str) -> list[str]:
    """Return what to say of the jobs of a copy called `database`: nothing where the server runs them."""
    scheduling = scheduling_database(session)
    if scheduling in (None, database):
        return []
    return [f"the jobs of pg_cron in {database} rest: this server runs those of database {scheduling} only (cron.database_name)"]
