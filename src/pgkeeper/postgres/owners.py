"""For whom a database works, of those who own something in it."""

from dataclasses import dataclass

import psycopg
from psycopg import sql

from pgkeeper.postgres.server import Server, told

_OWNERS = """
SELECT r.rolname AS name, min(format('%I.%I', n.nspname, c.relname)) AS relation,
       has_database_privilege(r.oid, d.oid, 'CONNECT') AS may_connect
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles r ON r.oid = c.relowner
JOIN pg_database d ON d.datname = current_database()
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
AND r.rolcanlogin GROUP BY r.rolname, r.oid, d.oid ORDER BY 1
"""


@dataclass(frozen=True)
class Owners:
    """Who owns tables in a database and may log in: those for whom it works, and those for whom it does not, with the reason."""

    served: frozenset[str]
    refused: dict[str, str]


def ask_owners(server: Server, database: str, major: int) -> Owners:
    """Connect, and read a table of each owner as that owner. Raises OperationFailed when nobody can connect at all."""
    served: set[str] = set()
    refused: dict[str, str] = {}
    with server.connect(database, major=major) as session, told(f"looking into {database}"):
        for row in session.execute(_OWNERS).fetchall():
            if not row["may_connect"]:
                refused[row["name"]] = "may not connect"
                continue
            try:
                session.execute(sql.SQL("SET SESSION AUTHORIZATION {}").format(sql.Identifier(row["name"])))
                session.execute(f"SELECT FROM {row['relation']} LIMIT 0")
                served.add(row["name"])
            except psycopg.Error as error:
                refused[row["name"]] = f"cannot read {row['relation']}: {error.diag.message_primary}"
            finally:
                session.execute("RESET SESSION AUTHORIZATION")
    return Owners(frozenset(served), refused)
