"""For whom a database works, of those who own something in it.

The catalogs are asked, and no table is read as its owner. A query is planned first, and planning computes what it can of expressions in
indexes: that is the owner's code, in a session that is a superuser's whatever it was lowered to (RESET SESSION AUTHORIZATION).
"""

from dataclasses import dataclass

from pgkeeper.postgres.server import Server, told

# What logging in and `SELECT … FROM relation` check (InitPostgres, LookupExplicitNamespace, ExecCheckPermissions): the functions follow
# memberships as this server's version does, and are NULL for what was dropped meanwhile. A single column that may be read is enough.
_OWNERS = """
SELECT DISTINCT ON (name) r.rolname AS name, n.nspname AS schema, format('%I.%I', n.nspname, c.relname) AS relation,
       has_database_privilege(r.oid, d.oid, 'CONNECT') AS may_connect, has_schema_privilege(r.oid, n.oid, 'USAGE') AS may_look_up,
       has_table_privilege(r.oid, c.oid, 'SELECT') OR has_any_column_privilege(r.oid, c.oid, 'SELECT') AS may_read
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles r ON r.oid = c.relowner
JOIN pg_database d ON d.datname = current_database()
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
AND r.rolcanlogin ORDER BY name, relation
"""


@dataclass(frozen=True)
class Owners:
    """Who owns tables in a database and may log in: those for whom it works, and those for whom it does not, with the reason."""

    served: frozenset[str]
    refused: dict[str, str]


def ask_owners(server: Server, database: str, major: int) -> Owners:
    """Return for whom the database works: who may connect, and read the first of their own tables. Runs nobody's code.

    Raises OperationFailed when nobody can connect at all.
    """
    refused: dict[str, str] = {}
    with server.connect(database, major=major) as session, told(f"looking into {database}"):
        rows = session.execute(_OWNERS).fetchall()
    for row in rows:
        if not row["may_connect"]:
            refused[row["name"]] = "may not connect"
        elif row["may_look_up"] is False:
            refused[row["name"]] = f"cannot read {row['relation']}: permission denied for schema {row['schema']}"
        elif row["may_read"] is False:
            refused[row["name"]] = f"cannot read {row['relation']}: permission denied for table {row['relation']}"
    return Owners(frozenset(row["name"] for row in rows) - frozenset(refused), refused)
