"""Giving the planner its statistics, so that a restored database is as quick as its original from the first query on."""

import psycopg
from psycopg import sql

from pgkeeper.postgres.load.owner_sessions import SUPERUSER, OwnerSessions
from pgkeeper.postgres.load.surroundings import Surroundings
from pgkeeper.postgres.server import Row

# Tables with foreign children are left out: analyzing them would go to another server. Partitions are analyzed with their root, unless
# that is left out.
_TABLES = """
WITH RECURSIVE remote(oid) AS (
    SELECT i.inhparent FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE c.relkind = 'f'
    UNION SELECT i.inhparent FROM pg_inherits i JOIN remote r ON r.oid = i.inhrelid
)
SELECT n.nspname AS schema_name, c.relname AS name, c.oid::bigint AS oid,
       r.rolname AS owner, r.rolsuper AS superusers,
       CASE WHEN c.relispartition THEN nullif(pg_partition_root(c.oid)::oid, c.oid)::bigint END AS root
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles r ON r.oid = c.relowner
WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
AND c.oid NOT IN (SELECT oid FROM remote) ORDER BY c.oid
"""


def analyze(sessions: OwnerSessions, surroundings: Surroundings, *, ordinary: bool) -> list[str]:
    """Analyze every table of a database, each in a session of its owner; a table that can't be is named in the warnings returned.

    Superusers' tables are analyzed by `SUPERUSER`, and without `ordinary` all are. Nothing that the database's own code does on the way can
    change a row, in sessions that are read-only. Raises psycopg.Error when a session ends before its work.
    """
    tables = sessions.of(SUPERUSER).execute(_TABLES).fetchall()
    roots = {row["oid"]: row for row in tables if row["root"] is None}
    parts: dict[int, list[Row]] = {}
    for row in tables:
        if row["root"] in roots:
            parts.setdefault(row["root"], []).append(row)
    warnings: list[str] = []
    for row in tables:
        if row["root"] in roots:
            # It gets its statistics with its root, unless nobody may analyze both.
            if row["owner"] != roots[row["root"]]["owner"]:
                warnings += filter(None, [_problem(sessions, surroundings, row, ordinary=ordinary)])
        elif problem := _problem(sessions, surroundings, row, ordinary=ordinary):
            # One bad partition must not cost the others their statistics.
            warnings += [
                problem,
                *filter(None, (_problem(sessions, surroundings, part, ordinary=ordinary) for part in parts.get(row["oid"], []))),
            ]
    return warnings


def _problem(sessions: OwnerSessions, surroundings: Surroundings, table: Row, *, ordinary: bool) -> str:
    """Analyze one table, and return why that failed."""
    session = sessions.of(SUPERUSER if table["superusers"] or not ordinary else table["owner"])
    statement = sql.SQL("ANALYZE {}").format(sql.Identifier(table["schema_name"], table["name"]))
    try:
        surroundings.retry(session, sessions.of(SUPERUSER), table["owner"], lambda: session.execute(statement))
    except psycopg.Error as error:
        if session.closed:
            raise
        return f"no statistics for {table['schema_name']}.{table['name']}: {error.diag.message_primary}"
    return ""
