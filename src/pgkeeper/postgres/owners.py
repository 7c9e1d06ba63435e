"""Whether a database works for those who own something in it."""

from psycopg import sql

from pgkeeper.model.errors import OperationFailed
from pgkeeper.postgres.server import Server, told

_OWNERS = """
SELECT r.rolname AS name, min(format('%I.%I', n.nspname, c.relname)) AS relation,
       has_database_privilege(r.oid, d.oid, 'CONNECT') AS may_connect
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles r ON r.oid = c.relowner
JOIN pg_database d ON d.datname = current_database()
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
AND r.rolcanlogin AND has_schema_privilege(r.oid, n.oid, 'USAGE') GROUP BY r.rolname, r.oid, d.oid ORDER BY 1
"""


def require_usable(server: Server, database: str, major: int) -> None:
    """Connect, and read a table of each owner who may log in, as that owner. Raises OperationFailed naming who could not."""
    with server.connect(database, major=major) as session:
        for row in session.execute(_OWNERS).fetchall():
            with told(f"reading {row['relation']} as {row['name']}"):
                if not row["may_connect"]:
                    raise OperationFailed(f"{row['name']} may not connect to {database}", "but owns tables in it")
                session.execute(sql.SQL("SET SESSION AUTHORIZATION {}").format(sql.Identifier(row["name"])))
                session.execute(f"SELECT FROM {row['relation']} LIMIT 0")
                session.execute("RESET SESSION AUTHORIZATION")
