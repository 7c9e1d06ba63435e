"""A first row of every table of one database is read, also where there is no amcheck that would look into its pages."""

from dataclasses import dataclass

import psycopg
from psycopg import sql

from pgkeeper.model.errors import OperationFailed
from pgkeeper.postgres.planned_code import RUNS_CODE
from pgkeeper.postgres.server import Server, Session

# Where planning would run somebody's code, as a superuser, nothing is asked.
_TABLES = """
SELECT c.oid::regclass::text AS name, n.nspname AS schema, c.relname AS relation
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_am a ON a.oid = c.relam
WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND c.relispopulated AND a.amname = 'heap'
AND c.oid NOT IN (SELECT oid FROM runs_code) ORDER BY c.oid
"""
# The table itself is to be read, not an index in its place; and conditions of the table are nobody's business.
_SETTINGS = ("default_transaction_read_only = on", "enable_indexonlyscan = off", "constraint_exclusion = off")


@dataclass(frozen=True)
class RowProbe:
    """How many tables were `read`, and which were `unreadable`, a line each."""

    read: int
    unreadable: tuple[str, ...]


def probe_rows(server: Server, database: str) -> RowProbe:
    """Ask every table and materialized view of a database for a first row, those of the catalog too. Changes nothing, runs nobody's code.

    The cluster is one that nobody else is at. Left out are foreign and temporary tables, what keeps its rows by another access method than
    PostgreSQL's own, and what has functions, operators or types of somebody's own in the expressions of its indexes or statistics. Raises
    OperationFailed when the database can't be reached or looked into.
    """
    with server.connect(database) as session:
        try:
            for setting in _SETTINGS:
                session.execute(f"SET {setting}")
            return _probe(session)
        except psycopg.Error as error:
            raise OperationFailed(f"the tables of {database} could not be read", " ".join(str(error).split())) from error


def _probe(session: Session) -> RowProbe:
    read, unreadable = 0, []
    for table in session.execute(RUNS_CODE + _TABLES).fetchall():
        query = sql.SQL("SELECT 1 FROM ONLY {} LIMIT 1").format(sql.Identifier(table["schema"], table["relation"]))
        try:
            session.execute(query)
            read += 1
        except psycopg.Error as error:
            if session.closed:
                raise
            unreadable.append(f"{table['name']}: {' '.join((error.diag.message_primary or str(error)).split())}")
    return RowProbe(read, tuple(unreadable))
