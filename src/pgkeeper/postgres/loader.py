"""The loader: an unprivileged role that puts data into a database being rebuilt, and exists only as long as that takes.

Loading data runs the database owners' code (CHECK functions, domain checks, generated columns). It must not run as a superuser, and a
session that became unprivileged by SET ROLE could simply take it back. So the loader logs in by itself, with a password of its own that
only we know. What it may do is lent to it in the one database being rebuilt (`DataLoad`); predefined roles such as pg_read_all_data would
let that code read every role's password verifier.
"""

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta

import psycopg
from psycopg import sql

from pgkeeper.model.errors import OperationFailed, RefusedError
from pgkeeper.postgres.server import Server, Session, pinned_options, unlogged

ROLE_PREFIX = "pgkeeper_loader_"
SERVER_USER = "postgres"
_LIFETIME = timedelta(days=2)
_LOOPBACK = ("127.0.0.1", "::1")


@contextmanager
def loader_sessions(server: Server, admin: Session, database: str, major: int, count: int) -> Iterator[tuple[list[Session], str]]:
    """Yield `count` sessions of a fresh loader role in `database`, and the role's name.

    The sessions end with the block; the role does when it fails, otherwise whoever called drops it.
    Raises RefusedError (exit status 6) where the role can't log in: a superuser's session that was only lowered would not do.
    """
    name = f"{ROLE_PREFIX}{secrets.token_hex(4)}"
    password = secrets.token_urlsafe(32)
    _create_role(admin, name, password)
    try:
        admin.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(sql.Identifier(database), sql.Identifier(name)))
        with ExitStack() as stack:
            yield [stack.enter_context(_log_in(server, database, name, password, major)) for _ in range(count)], name
    except BaseException:
        # The database may still hold what the role owns; whoever drops it drops the role too.
        with suppress(psycopg.Error):
            drop_role(admin, name)
        raise


def require_loader_login(server: Server, admin: Session, major: int) -> None:
    """Find out whether a role like the loader may log in, by trying: one is made, used in the maintenance database, and removed.

    Raises RefusedError as `loader_sessions` would.
    """
    name = f"{ROLE_PREFIX}{secrets.token_hex(4)}"
    password = secrets.token_urlsafe(32)
    _create_role(admin, name, password)
    try:
        _log_in(server, admin.info.dbname, name, password, major).close()
    finally:
        drop_role(admin, name)


def drop_role(admin: Session, name: str) -> str:
    """Remove a loader role. Returns "", or a warning when something outside our databases depends on it; then it is locked out for good."""
    role = sql.Identifier(name)
    try:
        admin.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(role))
    except psycopg.Error as error:
        admin.execute(sql.SQL("ALTER ROLE {} NOLOGIN PASSWORD NULL").format(role))
        return f"the role {name} was locked, but could not be removed: {' '.join(str(error).split())}"
    return ""


def loader_leftovers(admin: Session) -> list[str]:
    """Return loader roles that restores left behind when they were killed."""
    rows = admin.execute("SELECT rolname AS name FROM pg_roles WHERE rolname ~ %s", (f"^{ROLE_PREFIX}[0-9a-f]{{8}}$",))
    return [row["name"] for row in rows]


def _create_role(admin: Session, name: str, password: str) -> None:
    # The verifier is made here, so the password itself reaches neither the wire nor the server's log.
    verifier = admin.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
    until = (datetime.now(UTC) + _LIFETIME).isoformat()
    statement = sql.SQL("CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD {} VALID UNTIL {}")
    with unlogged(admin):
        admin.execute(statement.format(sql.Identifier(name), verifier, until))


def _log_in(server: Server, database: str, name: str, password: str, major: int) -> Session:
    """Return a session of the role: the way the administrator goes, or TCP to this machine."""
    credentials = {"user": name, "password": password, "options": pinned_options(major, ordinary=True)}
    host = server.libpq.get("PGHOST", "")
    # Nobody but the server may get the password or the data: over a socket its owner tells who it is, over TCP only SCRAM proves that it
    # knows the verifier. (Any local user may listen on an address that the server doesn't.)
    over_tcp = {"require_auth": "scram-sha-256"}
    routes: list[dict[str, str]] = [over_tcp]
    if not host or host.startswith("/"):
        local = [{"host": address, "hostaddr": address, **over_tcp} for address in _LOOPBACK]
        # What never leaves the machine is encrypted only where pg_hba.conf wants it: that costs both sides more than all else they do.
        routes = [{"requirepeer": SERVER_USER}, *(route | {"sslmode": "disable"} for route in local), *local]
    reasons = []
    for route in routes:
        try:
            return server.connect(database, major=major, **credentials, **route)
        except OperationFailed as error:
            reasons.append(error.why)
    raise RefusedError(
        "data cannot be loaded by an unprivileged role, since none can log in",
        "; ".join(reasons),
        "let pg_hba.conf have the line `host all all 127.0.0.1/32 scram-sha-256` before others for that address, or use --trust-database,"
        " which lets the database's own code run as a superuser",
    )
