"""Giving the planner its statistics, so that a restored database is as quick as its original from the first query on."""

import psycopg
from psycopg import sql

from pgkeeper.postgres.server import Row, Session

# Tables with foreign children are left out: analyzing them would go to another server. Partitions are analyzed with their root, unless
# that is left out.
_TABLES = """
WITH RECURSIVE remote(oid) AS (
    SELECT i.inhparent FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE c.relkind = 'f'
    UNION SELECT i.inhparent FROM pg_inherits i JOIN remote r ON r.oid = i.inhrelid
)
SELECT n.nspname AS schema_name, c.relname AS name, c.oid::bigint AS oid,
       CASE WHEN c.relispartition THEN nullif(pg_partition_root(c.oid)::oid, c.oid)::bigint END AS root
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
AND c.oid NOT IN (SELECT oid FROM remote) ORDER BY c.oid
"""


def analyze(session: Session) -> list[str]:
    """Analyze every table of the session's database; a table that can't be is named in the warnings returned.

    Nothing that the database's own code does on the way can change a row. Raises psycopg.Error when the session ends before its work.
    """
    session.execute("SET default_transaction_read_only = on")
    tables = session.execute(_TABLES).fetchall()
    present = {row["oid"] for row in tables}
    parts: dict[int, list[Row]] = {}
    warnings = []
    for row in tables:
        if row["root"] in present:
            parts.setdefault(row["root"], []).append(row)
    for row in tables:
        if row["root"] not in present and (problem := _problem(session, row)):
            # One bad partition must not cost the others their statistics.
            warnings += [problem, *filter(None, (_problem(session, part) for part in parts.get(row["oid"], [])))]
    return warnings


def _problem(session: Session, table: Row) -> str:
    """Analyze one table, and return why that failed."""
    try:
        session.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(table["schema_name"], table["name"])))
    except psycopg.Error as error:
        if session.closed:
            raise
        return f"no statistics for {table['schema_name']}.{table['name']}: {error.diag.message_primary}"
    return ""
