"""A database being rebuilt: created empty as its original was, hidden and closed, and opened under its name in one transaction."""

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import sql

from pgkeeper.host.user import as_service_user
from pgkeeper.model.manifest import DatabaseFacts, Privilege, Setting
from pgkeeper.model.shell import quoted
from pgkeeper.postgres.copy_mark import mark_copy
from pgkeeper.postgres.server import Server, Session
from pgkeeper.postgres.stored_settings import setting_value, try_setting
from pgkeeper.postgres.tablespaces import tablespaces

PARTIAL_PREFIX = "pgkeeper_partial_"
_RESTORE_LOCK = (0x7067_6B65, 1)
_RESTORE_HOLDER = """
SELECT a.pid, a.usename AS role, coalesce(a.client_addr::text, 'this machine') AS client
FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid JOIN pg_roles r ON r.oid = a.usesysid
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND (l.classid::int, l.objid::int) = (%s, %s) AND r.rolsuper LIMIT 1
"""


def create_database(session: Session, name: str, facts: DatabaseFacts) -> None:
    """Create the empty database `name` with encoding, locale and tablespace of `facts`.

    Nobody but superusers may connect to it until `open_database`. A tablespace that does not exist here is
    replaced by the default one.
    """
    options: list[sql.Composable] = [
        sql.SQL("TEMPLATE template0"),
        sql.SQL("ENCODING {}").format(facts.encoding),
        sql.SQL("LC_COLLATE {} LC_CTYPE {}").format(facts.lc_collate, facts.lc_ctype),
    ]
    if session.info.server_version >= 150000:
        options.append(sql.SQL("LOCALE_PROVIDER {}").format(sql.SQL(facts.locale_provider)))
    if facts.locale_provider == "icu":
        options.append(sql.SQL("ICU_LOCALE {}").format(facts.locale))
        if facts.icu_rules:
            options.append(sql.SQL("ICU_RULES {}").format(facts.icu_rules))
    elif facts.locale_provider == "builtin":
        options.append(sql.SQL("BUILTIN_LOCALE {}").format(facts.locale))
    if facts.tablespace != "pg_default" and facts.tablespace in tablespaces(session):
        options.append(sql.SQL("TABLESPACE {}").format(sql.Identifier(facts.tablespace)))
    session.execute(sql.SQL("CREATE DATABASE {} {}").format(sql.Identifier(name), sql.SQL(" ").join(options)))
    session.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))


def database_exists(session: Session, name: str) -> bool:
    """Tell whether a database of that name exists."""
    return session.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).fetchone() is not None


def database_oid(session: Session, name: str) -> int | None:
    """Return a database's OID, None when there is none of that name."""
    row = session.execute("SELECT oid::bigint AS oid FROM pg_database WHERE datname = %s", (name,)).fetchone()
    return row["oid"] if row else None


def database_is_closed(session: Session, name: str) -> bool:
    """Tell whether a database of that name exists and lets nobody in."""
    return session.execute("SELECT FROM pg_database WHERE datname = %s AND NOT datallowconn", (name,)).fetchone() is not None


def opening_command(session: Session, name: str) -> str:
    """Return the command by which root lets people connect to a closed database again."""
    info = session.info
    statement = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(sql.Identifier(name)).as_string(session)
    where = f"-h {quoted(info.host)} -p {info.port}" if info.host else f"-p {info.port}"
    return as_service_user(f"psql {where} -U {quoted(info.user)} -d {quoted(info.dbname)} -c {quoted(statement)}")


def drop_database(server: Server, session: Session, name: str) -> None:
    """Remove a database with everyone in it; nothing happens when it is not there.

    A subscription would forbid that. Restored ones were never connected, so they are forgotten without telling a publisher. So would being
    a template (documentation of DROP DATABASE), which a copy of a template is as well. Raises psycopg.Error; the database is as closed
    then as it was before.
    """
    query = "SELECT s.subname AS name FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid WHERE d.datname = %s"
    subscriptions = [row["name"] for row in session.execute(query, (name,))]
    if subscriptions:
        with _let_in(session, name), server.connect(name) as inside:
            for subscription in map(sql.Identifier, subscriptions):
                inside.execute(sql.SQL("ALTER SUBSCRIPTION {} DISABLE").format(subscription))
                inside.execute(sql.SQL("ALTER SUBSCRIPTION {} SET (slot_name = NONE)").format(subscription))
                inside.execute(sql.SQL("DROP SUBSCRIPTION {}").format(subscription))
    if session.execute("SELECT FROM pg_database WHERE datname = %s AND datistemplate", (name,)).fetchone() is not None:
        session.execute(sql.SQL("ALTER DATABASE {} WITH IS_TEMPLATE false").format(sql.Identifier(name)))
    session.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def _let_in(session: Session, name: str) -> Iterator[None]:
    """Let sessions into a database for a moment: one that stayed open would be taken for somebody's, and never dropped."""
    closed = database_is_closed(session, name)
    session.execute(sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS true").format(sql.Identifier(name)))
    try:
        yield
    finally:
        if closed:
            session.execute(sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS false").format(sql.Identifier(name)))


def leftovers(session: Session) -> list[str]:
    """Return the databases that restores left behind when they were killed: named as ours are, and a superuser's."""
    rows = session.execute(
        "SELECT d.datname AS name FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba WHERE d.datname ~ %s AND r.rolsuper",
        (f"^{PARTIAL_PREFIX}[0-9a-f]{{8}}$",),
    )
    return [row["name"] for row in rows]


def claim_restores(session: Session) -> str:
    """Be the only one who restores onto this server, as long as the session lives, whichever host or state directory others work from.

    Returns "" or who restores already. A lock that an ordinary role holds, which any may, is not taken seriously.
    """
    row = session.execute("SELECT pg_try_advisory_lock(%s, %s) AS ours", _RESTORE_LOCK).fetchone()
    if row is not None and row["ours"]:
        return ""
    holder = session.execute(_RESTORE_HOLDER, _RESTORE_LOCK).fetchone()
    return f"process {holder['pid']} ({holder['role']}, from {holder['client']})" if holder else ""


def open_database(session: Session, partial: str, name: str, facts: DatabaseFacts, *, closed: bool = False) -> list[str]:
    """Give the finished database owner, privileges, settings, comment, limit and its name, all at once; `closed` leaves nobody in.

    Settings come last, since some (read-only) would stand in our own way. Whoever is in the database is sent away first: monitoring that
    visits every database must not cost a restore.
    Under another name than its original's it is marked as a copy. Returns warnings about settings that this server does not take.
    """
    warnings: list[str] = []
    database = sql.Identifier(partial)
    _send_everyone_away(session, partial)
    with session.transaction():
        session.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(database, sql.Identifier(facts.owner)))
        if facts.privileges is None:
            session.execute(sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO PUBLIC").format(database))
        else:
            _set_privileges(session, database, facts.owner, facts.privileges)
        if facts.comment is not None:
            session.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(database, facts.comment))
        template, connections = (sql.SQL("true" if wanted else "false") for wanted in (facts.is_template, not closed))
        session.execute(
            sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS {} CONNECTION LIMIT {} IS_TEMPLATE {}").format(
                database, connections, facts.connection_limit, template
            )
        )
        # Scripts of extensions may have made some.
        session.execute(sql.SQL("ALTER DATABASE {} RESET ALL").format(database))
        for setting in facts.settings:
            warnings.extend(_set(session, database, setting))
        session.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(database, sql.Identifier(name)))
        if name != facts.name:
            mark_copy(session, name)
    return warnings


def set_aside(session: Session, partial: str, name: str) -> None:
    """Give a database that is not to be trusted a name of its own; only superusers may connect to it."""
    _send_everyone_away(session, partial)
    with session.transaction():
        session.execute(sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS true CONNECTION LIMIT 0").format(sql.Identifier(partial)))
        session.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(partial), sql.Identifier(name)))
        mark_copy(session, name)


def _send_everyone_away(session: Session, name: str) -> None:
    """Close a database, even to superusers, and end all sessions in it; the server waits a few seconds for them when it renames."""
    session.execute(sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS false").format(sql.Identifier(name)))
    session.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))


def _set(session: Session, database: sql.Identifier, setting: Setting) -> list[str]:
    name = sql.Identifier(*setting.name.split("."))
    if setting.role is None:
        statement = sql.SQL("ALTER DATABASE {} SET {} TO {}").format(database, name, setting_value(setting))
    else:
        statement = sql.SQL("ALTER ROLE {} IN DATABASE {} SET {} TO {}").format(
            sql.Identifier(setting.role), database, name, setting_value(setting)
        )
    return try_setting(session, setting, statement)


def _set_privileges(session: Session, database: sql.Identifier, owner: str, privileges: tuple[Privilege, ...]) -> None:
    for whom in (sql.SQL("PUBLIC"), sql.Identifier(owner)):
        session.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM {}").format(database, whom))
    for privilege in replayable(privileges, owner):
        session.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(privilege.grantor)))
        grantee = sql.SQL("PUBLIC") if privilege.grantee is None else sql.Identifier(privilege.grantee)
        session.execute(
            sql.SQL("GRANT {} ON DATABASE {} TO {} {}").format(
                sql.SQL(privilege.privilege), database, grantee, sql.SQL("WITH GRANT OPTION" if privilege.grantable else "")
            )
        )
        session.execute("SET LOCAL ROLE NONE")


def replayable(privileges: tuple[Privilege, ...], owner: str) -> list[Privilege]:
    """Return grants in an order in which they can be made: nobody grants on what he was not granted before."""
    ordered: list[Privilege] = []
    waiting = list(privileges)
    may_grant = set()
    while waiting:
        ready = [grant for grant in waiting if grant.grantor == owner or (grant.grantor, grant.privilege) in may_grant]
        # What nobody can be found for is tried as it stands; the server's complaint is the best explanation.
        ordered += ready or waiting
        waiting = [grant for grant in waiting if grant not in ready] if ready else []
        may_grant |= {(grant.grantee, grant.privilege) for grant in ready if grant.grantable}
    return ordered
