"""The mark on databases that pgkeeper made as copies: restored beside their original, or put aside for another.

It is a setting that a superuser's role has in the database (`ALTER ROLE … IN DATABASE … SET`), so it stays with the database and the
cluster, also through a recovery to an earlier moment, and goes when the database is dropped. An ordinary owner can neither set nor remove
it: only superusers change what a superuser's role is set to. Its value names the cluster, the database's OID and the name that pgkeeper
gave it. So a mark that was dumped and restored says nothing about the database it came to, and a copy that somebody renamed is theirs.
"""

from psycopg import sql

from pgkeeper.postgres.server import Session

COPY_MARK = "pgkeeper.copy"
"""The name of the setting. It is ours, and so no part of what a database is backed up with."""

_SETTING = sql.Identifier(*COPY_MARK.split("."))
_MARKED_BY = (
    "SELECT r.rolname AS role FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase JOIN pg_roles r ON r.oid = s.setrole"
    " WHERE r.rolsuper AND d.datname = %s AND EXISTS (SELECT FROM unnest(s.setconfig) c WHERE starts_with(c, %s))"
)
_VALUE = "(SELECT system_identifier FROM pg_control_system())::text || '/' || d.oid::text || '/' || d.datname"
_COPIES = (
    "SELECT DISTINCT d.datname FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase JOIN pg_roles r ON r.oid = s.setrole"  # noqa: S608 - constants
    f" WHERE r.rolsuper AND '{COPY_MARK}=' || {_VALUE} = ANY (s.setconfig) ORDER BY 1"
)


def mark_copy(session: Session, name: str) -> None:
    """Say that the database `name`, under this name, is a copy of pgkeeper's. In the caller's transaction. Raises psycopg.Error."""
    row = session.execute(f"SELECT {_VALUE} AS value FROM pg_database d WHERE d.datname = %s", (name,)).fetchone()  # noqa: S608 - a constant
    assert row is not None, "the caller has just given it this name"
    session.execute(_statement(name, session.info.user, sql.SQL("SET {} TO {}").format(_SETTING, row["value"])))


def unmark_copy(session: Session, name: str) -> None:
    """Take the mark off the database `name`, whichever superuser set it. In the caller's transaction. Raises psycopg.Error."""
    for row in session.execute(_MARKED_BY, (name, f"{COPY_MARK}=")).fetchall():
        session.execute(_statement(name, row["role"], sql.SQL("RESET {}").format(_SETTING)))


def list_copies(session: Session) -> tuple[str, ...]:
    """Return the databases that are copies of pgkeeper's: marked by a superuser, in this cluster, with their OID and present name."""
    return tuple(row["datname"] for row in session.execute(_COPIES))


def _statement(name: str, role: str, what: sql.Composable) -> sql.Composed:
    return sql.SQL("ALTER ROLE {} IN DATABASE {} {}").format(sql.Identifier(role), sql.Identifier(name), what)
