"""Looking into every page of a recovered database's tables and every B-tree: are they what PostgreSQL would have written?

That is the work of the library behind extension amcheck (PostgreSQL documentation, "amcheck"). Its two functions are made anew, in a schema
whose name nobody can know, within a transaction that is rolled back: so nothing of it stays, and whatever the database holds of that
extension, or under its names, is never called.
"""

import secrets

import psycopg
from psycopg import sql

from pgkeeper.model.errors import OperationFailed
from pgkeeper.postgres.server import Server, Session

_MOST = 5
"""Findings named of one relation."""
_OFFERED = "SELECT FROM pg_available_extensions WHERE name = 'amcheck'"
_EVENT_TRIGGERS = "SELECT evtname AS name FROM pg_event_trigger WHERE evtenabled <> 'D'"
# As the extension declares them since PostgreSQL 14; the library goes by the number of arguments, so later ones may be left out.
_FUNCTIONS = (
    """CREATE FUNCTION {}.verify_heapam(regclass, boolean, boolean, text, bigint, bigint,
           OUT blkno bigint, OUT offnum integer, OUT attnum integer, OUT msg text)
       RETURNS SETOF record LANGUAGE c AS '$libdir/amcheck', 'verify_heapam'""",
    "CREATE FUNCTION {}.bt_index_check(regclass, boolean) RETURNS void LANGUAGE c STRICT AS '$libdir/amcheck', 'bt_index_check'",
)
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

    For a cluster that nobody else is at. Tables are locked as by a SELECT. Raises OperationFailed when the database can't be reached or
    looked into.
    """
    with server.connect(database) as session:
        try:
            with session.transaction(force_rollback=True):
                if session.execute(_OFFERED).fetchone() is None:
                    return None
                schema = _make_functions(session)
                return (*_tables(session, schema), *_indexes(session, schema))
        except psycopg.Error as error:
            raise OperationFailed(f"the pages of {database} could not be checked", " ".join(str(error).split())) from error


def _make_functions(session: Session) -> str:
    """Make amcheck's functions within the session's transaction; return the name of their schema."""
    # Event triggers have no business here. session_replication_role would leave those that are enabled for replicas, or always.
    for trigger in session.execute(_EVENT_TRIGGERS).fetchall():
        session.execute(sql.SQL("ALTER EVENT TRIGGER {} DISABLE").format(sql.Identifier(trigger["name"])))
    schema = f"pgkeeper_{secrets.token_hex(16)}"
    session.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    for function in _FUNCTIONS:
        session.execute(sql.SQL(function).format(sql.Identifier(schema)))
    return schema


def _tables(session: Session, schema: str) -> list[str]:
    verify = (
        "SELECT blkno, offnum, msg FROM {}.verify_heapam(%s::oid::regclass, false, true, 'none'::text, NULL::bigint, NULL::bigint) LIMIT %s"
    )
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
    query = sql.SQL("SELECT {}.bt_index_check(%s::oid::regclass, false)").format(sql.Identifier(schema))
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
