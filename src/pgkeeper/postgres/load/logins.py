"""Roles that log in to a database being rebuilt: each with the rights of one owner, or with none.

Restoring runs the owners' code: CHECK functions, domains, generated columns, expressions of indexes and partitions. It must run with its
author's rights and no more. A superuser's session that was lowered by SET ROLE or SET SESSION AUTHORIZATION does not do: one RESET raises
it again. So for each owner a role is made that is a member of that owner and of nobody else; it logs in by itself, with a password that
only we know. For superusers' tables there is one that is a member of nobody and may only fill them. They exist as long as the restore.
"""

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import psycopg
from psycopg import sql

from pgkeeper.model.errors import OperationFailed, RefusedError
from pgkeeper.postgres.load.ddl_guard import DdlGuard
from pgkeeper.postgres.server import SILENT, Server, Session, pinned_options, unlogged

ROLE_PREFIX = "pgkeeper_loader_"
SERVER_USER = "postgres"
NOBODY = ""
"""The owner whose rights are none."""
_LIFETIME = timedelta(days=2)
_MAY_ENTER = """
SELECT DISTINCT d.datname AS name FROM pg_database d, aclexplode(d.datacl) a JOIN pg_roles r ON r.oid = a.grantee WHERE r.rolname = %s
"""
_LOOPBACK = ("127.0.0.1", "::1")


class Logins:
    """The login roles of one restore into `database`; `admin` is a superuser's session in the maintenance database.

    `guard`, where there is one, lets the sessions change objects. May be used from several threads. As a context manager it removes the
    roles at the end; `warnings` then names those that something outside the database depends on.
    """

    def __init__(self, server: Server, admin: Session, database: str, major: int) -> None:
        self.warnings: list[str] = []
        self.guard: DdlGuard | None = None
        self._server = server
        self._admin = admin
        self._database = database
        self._major = major
        self._roles: dict[str, str] = {}
        self._inside: Session | None = None
        self._lock = threading.Lock()

    def session(self, owner: str) -> Session:
        """Open a session that acts as `owner`, or as `NOBODY`. Raises RefusedError (exit status 6) where such a role can't log in."""
        with self._lock:
            name = self._roles.get(owner) or self._make(owner)
            # Code that runs as the role can change its password. So each login has one of its own, and before and after it there is none.
            with _open_for_login(self._admin, name) as password:
                session = _log_in(self._server, self._database, name, password, self._major)
        self.admit(session)
        if owner != NOBODY:
            session.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(owner)))
        return session

    def admit(self, session: Session) -> None:
        """Let a session of ours change objects, whoever it then acts as, while the guard is there."""
        with self._lock:
            if self.guard is not None:
                self.guard.admit(session)

    def name(self, owner: str) -> str:
        """Return the role that logs in for `owner`."""
        with self._lock:
            return self._roles.get(owner) or self._make(owner)

    def close(self) -> None:
        """End our own session in the database."""
        if self._inside is not None:
            self._inside.close()
            self._inside = None

    def drop(self, admin: Session | None = None) -> None:
        """Remove the roles; their sessions must have ended, and the database must hold nothing of theirs, or be gone.

        `admin` is another session for it, where the one that made them may have failed.
        """
        with self._lock:
            for name in self._roles.values():
                if warning := drop_role(admin or self._admin, name):
                    self.warnings.append(warning)
            self._roles.clear()

    def _make(self, owner: str) -> str:
        self._roles[owner] = name = _create_role(self._admin)
        identifier = sql.Identifier(name)
        self._admin.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(sql.Identifier(self._database), identifier))
        if owner == NOBODY:
            # An extension may keep the rows of its tables apart by policies, which are there before the rows are.
            self._admin.execute(sql.SQL("ALTER ROLE {} BYPASSRLS").format(identifier))
        else:
            # Since PostgreSQL 16 each membership says for itself what it brings.
            options = sql.SQL("WITH INHERIT TRUE, SET TRUE" if self._admin.info.server_version >= 160000 else "")
            # Roles' names lie there in the encoding of whoever made them: one database's sessions all see them the same.
            self._inside = self._inside or self._server.connect(self._database, major=self._major)
            self._inside.execute(sql.SQL("GRANT {} TO {} {}").format(sql.Identifier(owner), identifier, options))
        return name


def require_login(server: Server, admin: Session, major: int) -> None:
    """Find out whether roles like these may log in, by trying: one is made, used in the maintenance database, and removed.

    Raises RefusedError as `Logins.session` would.
    """
    name = _create_role(admin)
    try:
        with _open_for_login(admin, name) as password:
            _log_in(server, admin.info.dbname, name, password, major).close()
    finally:
        drop_role(admin, name)


def drop_role(admin: Session, name: str) -> str:
    """Remove a login role. Returns "", or a warning when something outside our databases depends on it; then it is locked out for good."""
    role = sql.Identifier(name)
    try:
        for row in admin.execute(_MAY_ENTER, (name,)).fetchall():
            admin.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM {}").format(sql.Identifier(row["name"]), role))
        admin.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(role))
    except psycopg.Error as error:
        admin.execute(sql.SQL("ALTER ROLE {} NOLOGIN PASSWORD NULL").format(role))
        return f"the role {name} was locked, but could not be removed: {' '.join(str(error).split())}"
    return ""


def _create_role(admin: Session) -> str:
    """Make a role with a name that nobody can guess, which cannot log in yet."""
    name = f"{ROLE_PREFIX}{secrets.token_hex(4)}"
    identifier = sql.Identifier(name)
    until = (datetime.now(UTC) + _LIFETIME).isoformat()
    statement = sql.SQL("CREATE ROLE {} NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS VALID UNTIL {}")
    admin.execute(statement.format(identifier, until))
    for setting, value in SILENT:
        # An extension's settings cannot be stored for a role where its library is not loaded.
        if "." not in setting:
            admin.execute(sql.SQL("ALTER ROLE {} SET {} TO {}").format(identifier, sql.Identifier(setting), value))
    return name


@contextmanager
def _open_for_login(admin: Session, name: str) -> Iterator[str]:
    """Let the role log in until the block ends, with the password yielded."""
    password = secrets.token_urlsafe(32)
    # The verifier is made here, so the password itself reaches neither the wire nor the server's log.
    verifier = admin.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
    identifier = sql.Identifier(name)
    with unlogged(admin):
        admin.execute(sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(identifier, verifier))
    try:
        yield password
    finally:
        admin.execute(sql.SQL("ALTER ROLE {} NOLOGIN PASSWORD NULL").format(identifier))


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
        "the database cannot be restored by unprivileged roles, since none can log in",
        "; ".join(reasons),
        "let pg_hba.conf have the line `host all all 127.0.0.1/32 scram-sha-256` before others for that address, or use --trust-database,"
        " which lets the database's own code run as a superuser",
    )
