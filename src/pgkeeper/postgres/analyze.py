"""Giving the planner its statistics, so that a restored database is as quick as its original from the first query on."""

import psycopg
from psycopg import sql

from pgkeeper.postgres.server import Session

# Tables with foreign children are left out: analyzing them would go to another server.
_TABLES = """
WITH RECURSIVE remote(oid) AS (
    SELECT i.inhparent FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE c.relkind = 'f'
    UNION SELECT i.inhparent FROM pg_inherits i JOIN remote r ON r.oid = i.inhrelid
)
SELECT n.nspname AS schema_name, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
AND c.oid NOT IN (SELECT oid FROM remote) ORDER BY c.oid
"""


def analyze(session: Session) -> list[str]:
    """Analyze every table of the session's database; a table that can't be is named in the warnings returned."""
    warnings = []
    for row in session.execute(_TABLES).fetchall():
        try:
            session.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(row["schema_name"], row["name"])))
        except psycopg.Error as error:
            warnings.append(f"no statistics for {row['schema_name']}.{row['name']}: {error.diag.message_primary}")
    return warnings
