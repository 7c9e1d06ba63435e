"""Rows that PostgreSQL holds and its dump cannot write: those whose text passes 1 GB.

A value has at most 1 GB (PostgreSQL documentation, "PostgreSQL Limits"), and so has a line of COPY; but a bytea is dumped in two characters
a byte, and a row's values in one line. Such a row shows by pg_dump's failure alone: no catalog tells how long values are.
"""

import re

from psycopg import sql

from pgkeeper.model.errors import OperationFailed, PgkeeperError
from pgkeeper.postgres.server import Server, told

_NAME = r'(?:"(?:[^"]|"")*+"|[^"\s.(]++)'
_TABLE = re.compile(rf"ommand was: COPY ({_NAME}\.{_NAME}) ")
_ALLOCATION = re.compile(r"invalid memory alloc request size (\d+)")
_BUFFER = ("Cannot enlarge string buffer", "string buffer exceeds maximum allowed length")
# A length that is damaged is negative, and asks for far more.
_LONGEST_TEXT = 4 << 30
_COLUMNS = """
SELECT a.attname AS name FROM pg_attribute a WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped
AND a.atttypid IN ('bytea'::regtype, 'text'::regtype, 'varchar'::regtype) ORDER BY a.attnum
"""


def oversized_row(words: str, server: Server, database: str) -> OperationFailed | None:
    """Return what to tell the owner when pg_dump's `words` say that a row's text is too long; None when they say something else."""
    table = _TABLE.search(words)
    asked = _ALLOCATION.search(words)
    if table is None or not (any(sign in words for sign in _BUFFER) or (asked and int(asked[1]) < _LONGEST_TEXT)):
        return None
    return OperationFailed(
        f"database {database} could not be dumped: a row of {table[1]} is too large for PostgreSQL's own dump",
        "its text passes 1 GB (a bytea is written in two characters a byte), and without that row what refers to it could not be restored",
        f"its owner finds it in {database} with `{_query(table[1], server, database)}`, and stores it in pieces, as a large object or in a"
        " file; physical backups (`pgkeeper pitr backup`) hold it meanwhile",
    )


def _query(table: str, server: Server, database: str) -> str:
    """Return a query that lists the largest rows; lengths are known without reading the values.

    It is the owner's to run: reading a table, even planning that, can run code of whoever has it.
    """
    try:
        with server.connect(database) as session, told(f"looking at {table}"):
            names = [row["name"] for row in session.execute(_COLUMNS, (table,))]
            lengths = [sql.SQL("coalesce(octet_length({}), 0)").format(sql.Identifier(name)).as_string(session) for name in names]
    except PgkeeperError:
        lengths = []
    return f"SELECT ctid, {' + '.join(lengths) or 'octet_length(…)'} AS bytes FROM {table} ORDER BY bytes DESC LIMIT 5"  # noqa: S608 - as pg_dump quotes it
