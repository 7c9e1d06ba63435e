"""The catalog of a fleet: a database on a PostgreSQL server, reached by psycopg."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, NullPool, create_engine
from sqlalchemy.exc import DBAPIError

from pgkeeper.catalog.errors import CatalogUnusable
from pgkeeper.catalog.place import PATIENCE

_SECONDS = round(PATIENCE.total_seconds())


class PostgresqlPlace:
    """A catalog on a server."""

    def __init__(self, url: URL) -> None:
        # A password may stand among the parameters as well.
        self._name = url.set(query={}).render_as_string(hide_password=True)
        milliseconds = 1000 * _SECONDS
        limits = f"-c statement_timeout={milliseconds} -c lock_timeout={milliseconds} -c timezone=UTC"
        self._engine = create_engine(
            url,
            poolclass=NullPool,
            connect_args={
                "connect_timeout": _SECONDS,
                # A server that vanished without a word must not hold us up.
                "tcp_user_timeout": milliseconds,
                "application_name": "pgkeeper catalog",
                "options": limits,
            },
        )

    @property
    def name(self) -> str:
        """Return the URL without its password."""
        return self._name

    @contextmanager
    def connection(self, *, writing: bool) -> Iterator[Connection]:
        """Yield a connection; PostgreSQL need not know beforehand that it writes, but is told when it does not."""
        try:
            with self._engine.connect().execution_options(postgresql_readonly=not writing) as connection:
                connection.begin()
                yield connection
        except DBAPIError as error:
            said = " ".join(str(error.orig).split())
            raise CatalogUnusable(self.name, said, "check BACKUP_CATALOG_URL and that server") from error

    def prepare(self) -> None:
        """Leave that to whoever made the database."""

    def check(self) -> None:
        """Leave that to the server."""
        with self.connection(writing=False):
            pass

    def move_aside(self, inode: int | None, reason: str) -> Path | None:  # noqa: ARG002 - only files can be moved
        """Refuse: who else uses that database, nobody here knows."""
        hint = "deploy that version again, or give pgkeeper an empty database"
        raise CatalogUnusable(self.name, "a newer pgkeeper made it, and a database is not replaced", hint)
