"""Tablespaces: which a cluster has, and making those of another one without their paths."""

from collections.abc import Iterable

from psycopg import sql

from pgkeeper.model.manifest import Tablespace
from pgkeeper.postgres.server import Session


def tablespaces(session: Session) -> set[str]:
    """Return the names of the cluster's tablespaces."""
    return {row["name"] for row in session.execute("SELECT spcname AS name FROM pg_tablespace")}


def make_in_place(session: Session, wanted: Iterable[Tablespace]) -> None:
    """Make tablespaces of these names inside the data directory, which a server with allow_in_place_tablespaces does for an empty path."""
    for tablespace in wanted:
        session.execute(sql.SQL("CREATE TABLESPACE {} LOCATION ''").format(sql.Identifier(tablespace.name)))
