"""Looking into every page of a database's tables and every B-tree: are they what PostgreSQL would have written?

That is extension amcheck's work (PostgreSQL documentation, "amcheck"). Where a database does not have it, it is made for the length of one
transaction that is rolled back, so nothing of it stays.
"""

import psycopg
from psycopg import sql

from pgkeeper.model.errors import OperationFailed
from pgkeeper.postgres.server import Server, Session

_MOST = 5
"""Findings named of one relation."""
_SCHEMA = "pgkeeper_amcheck"
_HAS = "SELECT n.nspname AS schema FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'amcheck'"
_OFFERED = "SELECT FROM pg_available_extensions WHERE name = 'amcheck'"
_TABLES = """
SELECT c.oid::bigint AS oid, c.oid::regclass::text AS name FROM pg_class c JOIN pg_am a ON a.oid = c.relam
WHERE c.relkind IN ('r', 't', 'm') AND c.relpersistence = 'p' AND a.amname = 'heap' ORDER BY c.oid
"""
_INDEXES = """
SELECT c.oid::bigint AS oid, c.oid::regclass::text AS name
FROM pg_class c JOIN pg_am a ON a.oid = c.relam JOIN pg_index i ON i.indexrelid = c.oid
WHERE c.relkind = 'i' AND c.relpersistence = 'p' AND a.amname = 'btree' AND i.indisvalid AND i.indisready ORDER BY c.oid
"""


def check_pages(server: Server, database: str) -> tuple[str, ...] | None:
    """Return what is wrong in a database, a line each, None when amcheck is not installed for the server. Changes nothing.

    Tables are locked as by a SELECT. Raises OperationFailed when the database can't be reached or looked into.
    """
    with server.connect(database) as session:
        # The owners' event triggers have no business here.
        session.execute("SET session_replication_role = replica")
        try:
            with session.transaction(force_rollback=True):
                schema = _schema(session)
                return None if schema is None else (*_tables(session, schema), *_indexes(session, schema))
        except psycopg.Error as error:
            raise OperationFailed(f"the pages of {database} could not be checked", " ".join(str(error).split())) from error


def _schema(session: Session) -> str | None:
    """Return where amcheck's functions are, None when there are none to be had."""
    row = session.execute(_HAS).fetchone()
    if row is not None:
        return str(row["schema"])
    if session.execute(_OFFERED).fetchone() is None:
        return None
    session.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(_SCHEMA)))
    session.execute(sql.SQL("CREATE EXTENSION amcheck SCHEMA {}").format(sql.Identifier(_SCHEMA)))
    return _SCHEMA


def _tables(session: Session, schema: str) -> list[str]:
    verify = "SELECT blkno, offnum, msg FROM {}.verify_heapam(%s::oid::regclass, check_toast => true) LIMIT %s"
    query = sql.SQL(verify).format(sql.Identifier(schema))
    found = []
    for table in session.execute(_TABLES).fetchall():
        try:
            with session.transaction():
                rows = session.execute(query, (table["oid"], _MOST)).fetchall()
            found += [f"{table['name']}: block {row['blkno']}, row {row['offnum']}: {row['msg']}" for row in rows]
        except psycopg.errors.UndefinedTable:
            continue
        except (psycopg.errors.DataCorrupted, psycopg.errors.IndexCorrupted, psycopg.errors.IoError, psycopg.errors.UndefinedFile) as error:
            found.append(f"{table['name']}: {_words(error)}")
    return found


def _indexes(session: Session, schema: str) -> list[str]:
    query = sql.SQL("SELECT {}.bt_index_check(%s::oid::regclass)").format(sql.Identifier(schema))
    found = []
    for index in session.execute(_INDEXES).fetchall():
        try:
            with session.transaction():
                session.execute(query, (index["oid"],))
        except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedObject):
            continue
        except psycopg.Error as error:
            if session.closed:
                raise
            found.append(f"{index['name']}: {_words(error)}")
    return found


def _words(error: psycopg.Error) -> str:
    return " ".join((error.diag.message_primary or str(error)).split())
