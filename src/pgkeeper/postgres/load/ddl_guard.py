"""Lending everybody CREATE while a database is being rebuilt, and seeing to it that only our own statements use it.

An owner may have tables in a schema where it may create nothing any more. So while the database is built, closed to all but us, PUBLIC may
create in every schema. An owner's code must not: what it plants there could be picked by a statement of somebody more powerful. An event
trigger refuses every command that changes objects unless it comes from a session of ours, and is the session's own statement instead of
some function's (PostgreSQL documentation, "Event Triggers"; a function's commands have more than one line of PG_CONTEXT).
Superusers may do everything: extensions' scripts are theirs.
"""

import secrets

from psycopg import sql

from pgkeeper.postgres.server import Session

_FUNCTION = """
CREATE FUNCTION {schema}.refuse() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $function$
DECLARE
    context text;
BEGIN
    IF (SELECT rolsuper FROM pg_roles WHERE rolname = session_user) THEN
        RETURN;
    END IF;
    GET DIAGNOSTICS context = PG_CONTEXT;
    IF context LIKE E'%\\n%' OR NOT EXISTS (
        SELECT FROM {schema}.ours JOIN pg_stat_get_activity(pg_backend_pid()) here USING (pid, backend_start)
    ) THEN
        RAISE insufficient_privilege USING MESSAGE = format('%s is refused while the database is being restored', tg_tag),
            DETAIL = 'Functions of the database change no objects meanwhile.';
    END IF;
END $function$
"""
_OTHER_SCHEMAS = """
SELECT n.nspname AS name, r.rolname = 'pg_database_owner' AS of_database_owner, EXISTS (
    SELECT FROM aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a WHERE a.grantee = 0 AND a.privilege_type = 'CREATE'
) AS open, CASE WHEN NOT r.rolsuper AND NOT has_schema_privilege(r.oid, n.oid, 'USAGE') THEN r.rolname END AS shut_out
FROM pg_namespace n JOIN pg_roles r ON r.oid = n.nspowner WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
"""


class DdlGuard:
    """Lends CREATE in the schemas of a superuser's session's database, and guards it, from `install` to `remove`.

    The role with the OID `owner` gets USAGE where it comes to the database's owner: the one being rebuilt is still ours.
    """

    def __init__(self, session: Session, owner: int | None) -> None:
        row = session.execute("SELECT rolname AS name FROM pg_roles WHERE oid = %s", (owner,)).fetchone()
        self._owner = str(row["name"]) if row else None
        self._session = session
        self._name = sql.Identifier(f"pgkeeper_{secrets.token_hex(8)}")
        self._lent: list[tuple[sql.Composable, sql.Composable]] = []
        self._installed = False

    def install(self) -> None:
        """Guard first, then lend. Raises psycopg.Error."""
        self._execute("CREATE SCHEMA {schema}")
        self._execute("CREATE TABLE {schema}.ours (pid int, backend_start timestamptz)")
        self._execute(_FUNCTION)
        self._execute("CREATE EVENT TRIGGER {schema} ON ddl_command_start EXECUTE FUNCTION {schema}.refuse()")
        # Somebody may have been given the right to set session_replication_role.
        self._execute("ALTER EVENT TRIGGER {schema} ENABLE ALWAYS")
        self._installed = True
        for row in self._session.execute(_OTHER_SCHEMAS).fetchall():
            schema = sql.Identifier(row["name"])
            if not row["open"] and schema != self._name:
                self._lend(sql.SQL("CREATE ON SCHEMA {}").format(schema), sql.SQL("PUBLIC"))
            # An owner may have taken its own right away, and may give it back to itself.
            if (owner := self._owner if row["of_database_owner"] else row["shut_out"]) is not None:
                self._lend(sql.SQL("USAGE ON SCHEMA {}").format(schema), sql.Identifier(owner))

    def admit(self, session: Session) -> None:
        """Let the statements of this session change objects."""
        self._session.execute(
            sql.SQL("INSERT INTO {}.ours SELECT pid, backend_start FROM pg_stat_activity WHERE pid = %s").format(self._name),
            (session.info.backend_pid,),
        )

    def remove(self) -> None:
        """Take back what was lent, and leave nothing of ours."""
        if self._installed:
            for what, whom in self._lent:
                self._session.execute(sql.SQL("REVOKE {} FROM {}").format(what, whom))
            self._execute("DROP EVENT TRIGGER {schema}")
            self._execute("DROP SCHEMA {schema} CASCADE")
            self._installed = False

    def _lend(self, what: sql.Composable, whom: sql.Composable) -> None:
        self._session.execute(sql.SQL("GRANT {} TO {}").format(what, whom))
        self._lent.append((what, whom))

    def _execute(self, statement: str) -> None:
        self._session.execute(sql.SQL(statement).format(schema=self._name))
