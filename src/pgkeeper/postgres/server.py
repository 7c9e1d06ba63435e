"""Reaching a PostgreSQL server: sessions for ourselves, environment and connection strings for PostgreSQL's programs."""

import logging
import os
import re
import socket
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.adapt import Loader
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row
from typing_extensions import Buffer

from pgkeeper.model.errors import BusyError, ConfigurationError, OperationFailed, PgkeeperError
from pgkeeper.postgres.pooler import behind_pooler, is_refusal, require_server

# What goes wrong is raised; psycopg also says it on stderr where logging is not set up.
logging.getLogger("psycopg").setLevel(logging.CRITICAL)

Row = dict[str, Any]
# psycopg's and libpq's own decoration of what went wrong.
_PREFIX = re.compile(r"^(connection failed: |connection is bad: )+")
_QUESTION = re.compile(r" Is the server running .*?\?")
Session = psycopg.Connection[Row]

_KEYWORDS = {
    "PGHOST": "host",
    "PGHOSTADDR": "hostaddr",
    "PGPORT": "port",
    "PGUSER": "user",
    "PGPASSWORD": "password",
    "PGPASSFILE": "passfile",
    "PGSERVICE": "service",
    "PGREQUIREPEER": "requirepeer",
    "PGCHANNELBINDING": "channel_binding",
    "PGGSSENCMODE": "gssencmode",
    "PGKRBSRVNAME": "krbsrvname",
    "PGCONNECT_TIMEOUT": "connect_timeout",
    "PGSSLMODE": "sslmode",
    "PGSSLROOTCERT": "sslrootcert",
    "PGSSLCRL": "sslcrl",
    "PGSSLCERT": "sslcert",
    "PGSSLKEY": "sslkey",
    "PGSSLSNI": "sslsni",
    "PGREQUIREAUTH": "require_auth",
    "PGTARGETSESSIONATTRS": "target_session_attrs",
}
_CONNECT_SECONDS = "15"

# Roles' and databases' own settings change the bytes of a dump or kill it; options given at connection time win over them (PostgreSQL
# documentation, "Parameter Interaction via the Command Line" and the order of GUC sources). With each stands the oldest major that knows
# it, and whether only superusers may set it.
_PINNED = (
    ("TimeZone", "UTC", 0, False),
    ("DateStyle", "ISO", 0, False),
    ("IntervalStyle", "postgres", 0, False),
    ("bytea_output", "hex", 0, False),
    ("xmlbinary", "base64", 0, False),
    ("lc_monetary", "C", 0, False),
    ("array_nulls", "on", 0, False),
    ("transform_null_equals", "off", 0, False),
    ("standard_conforming_strings", "on", 0, False),
    ("escape_string_warning", "off", 0, False),
    ("backslash_quote", "safe_encoding", 0, False),
    ("quote_all_identifiers", "off", 0, False),
    ("role", "none", 0, False),
    ("search_path", "pg_catalog", 0, False),
    ("statement_timeout", "0", 0, False),
    ("lock_timeout", "0", 0, False),
    ("idle_in_transaction_session_timeout", "0", 0, False),
    ("idle_session_timeout", "0", 0, False),
    ("transaction_timeout", "0", 17, False),
    ("row_security", "off", 0, False),
    ("default_transaction_read_only", "off", 0, False),
    ("default_transaction_isolation", r"read\ committed", 0, False),
    ("default_transaction_deferrable", "off", 0, False),
    ("synchronize_seqscans", "off", 0, False),
    ("local_preload_libraries", "", 0, False),
    ("session_preload_libraries", "", 0, True),
    ("session_replication_role", "origin", 0, True),
    # What the server says is also read by us, and by whoever looks for it in our documentation.
    ("lc_messages", "C", 0, True),
)

# libpq itself sends these to the server, after our own options (documentation of libpq, "Environment Variables").
_LIBPQ_SETTINGS = ("PGTZ", "PGDATESTYLE", "PGGEQO")

SILENT = (
    ("log_statement", "none"),
    ("log_min_duration_statement", "-1"),
    ("log_min_duration_sample", "-1"),
    ("log_transaction_sample_rate", "0"),
    ("log_min_error_statement", "panic"),
    ("pg_stat_statements.track_utility", "off"),
    ("pgaudit.log", "none"),
)
"""Settings under which no statement of a session gets into the server's log or its statistics."""

WITHOUT_EVENT_TRIGGERS = "session_replication_role = replica"
"""A setting that lets a superuser's session lend and take back without the event triggers that extensions brought."""


_HINTS = (
    ("not currently accepting connections", "ALTER DATABASE … ALLOW_CONNECTIONS true lets it be read"),
    ("invalid database", "an interrupted DROP DATABASE left it: drop it"),
    ("too many", "end some sessions or raise max_connections"),
    ("remaining connection slots", "end some sessions or raise max_connections"),
    ("no pg_hba.conf entry", "pg_hba.conf must let this role in from here"),
    ("does not exist", "check the name; `pgkeeper doctor` lists what is there"),
)


class _LenientText(Loader):
    """Reads names even where SQL_ASCII let invalid UTF-8 in; such bytes appear escaped."""

    def load(self, data: Buffer) -> str:
        r"""Return the text; bytes that are not UTF-8 appear as `\xNN`."""
        return bytes(data).decode("utf-8", "backslashreplace")


class ChangedMeanwhileError(OperationFailed):
    """Something was dropped or altered while a dump was about to read it; the work may be tried again as a whole.

    `tables` names those that were truncated or rewritten.
    """

    tables: frozenset[str] = frozenset()


class LockTimeoutError(BusyError):
    """Something in a database stayed locked longer than we wait; the work may be tried again as a whole."""


class RecoveryConflictError(OperationFailed):
    """A standby ended our reading, since its replay of the log needed what was read; the work may be tried again as a whole."""


CONFLICT_HINT = (
    "on this standby run `ALTER SYSTEM SET hot_standby_feedback = on` and `SELECT pg_reload_conf()`, or raise max_standby_streaming_delay"
    " and max_standby_archive_delay above what a backup takes"
)
"""What lets a standby be read for long (PostgreSQL documentation, "Handling Query Conflicts")."""


def is_recovery_conflict(words: str) -> bool:
    """Tell whether the server says that it ended a statement or a session for its replay: SQLSTATE 40001, or 57P04, with these words."""
    return "due to conflict with recovery" in words


@dataclass(frozen=True)
class Server:
    """How to reach one PostgreSQL instance: libpq's `PG…` variables, as settings gave them."""

    libpq: Mapping[str, str]

    def connect(self, database: str | None = None, *, major: int = 0, **overrides: str) -> Session:
        """Open a session (autocommit, rows as dicts, pinned settings, text as UTF-8).

        Without `database` the maintenance database is used. `major` pins what that version knows in addition; `overrides` replace
        connection parameters. Raises OperationFailed when the server can't be reached or refuses us, ConfigurationError when a connection
        pooler answers in its place.
        """
        for name in _LIBPQ_SETTINGS:
            os.environ.pop(name, None)
        parameters = self._parameters(database) | {"options": pinned_options(major), "client_encoding": "UTF8"} | overrides
        try:
            session = psycopg.connect(make_conninfo(**parameters), autocommit=True, row_factory=dict_row, prepare_threshold=None)
        except psycopg.Error as error:
            raise self.unreachable(database, error) from error
        except BaseException as error:
            # Told to stop in the middle of a login: whoever handles that would keep the half-open session alive, and the server waits a
            # minute for its end before the database it is for can be dropped.
            traceback.clear_frames(error.__traceback__)
            raise
        for name in ("text", "name", "varchar", "bpchar"):
            session.adapters.register_loader(name, _LenientText)
        try:
            require_server(session, parameters["options"], self._where)
        except psycopg.Error as error:
            session.close()
            raise self.unreachable(database, error) from error
        except BaseException:
            session.close()
            raise
        return session

    def connect_maintenance(self) -> Session:
        """Open a session in the database that serves for looking around: PGDATABASE, or `postgres`, or `template1`."""
        if named := self.libpq.get("PGDATABASE"):
            return self.connect(named)
        try:
            return self.connect("postgres")
        except OperationFailed as error:
            if not isinstance(error.__cause__, psycopg.OperationalError) or "does not exist" not in str(error.__cause__):
                raise
        return self.connect("template1")

    def target(self, database: str) -> str:
        """Return the value of `-d` for a PostgreSQL program: a connection string that holds only the quoted name.

        A bare name would be taken for a connection string if it looks like one (`host=/x`).
        """
        return make_conninfo(dbname=database)

    def environment(self, major: int) -> dict[str, str]:
        """Return the whole environment of a PostgreSQL program: where the server is, pinned settings, nothing else of ours."""
        environment = {name: self.libpq[name] for name in _KEYWORDS if name in self.libpq}
        environment.setdefault("PGCONNECT_TIMEOUT", _CONNECT_SECONDS)
        environment |= {
            "PATH": "/usr/bin:/bin",
            "LC_ALL": "C.UTF-8",
            "HOME": str(Path.home()),
            "PGAPPNAME": "pgkeeper",
            "PGOPTIONS": pinned_options(major),
        }
        if "PGSERVICEFILE" in self.libpq:
            environment["PGSERVICEFILE"] = self.libpq["PGSERVICEFILE"]
        return environment

    def unreachable(self, database: str | None, error: psycopg.Error) -> PgkeeperError:
        """Return what to tell the owner about a failed connection."""
        words = _QUESTION.sub("", _PREFIX.sub("", " ".join(str(error).split())))
        if is_refusal(words):
            return behind_pooler(self._where, words)
        goal = f"database {database} at" if database else "PostgreSQL at"
        if "password authentication failed" in words or "no password supplied" in words:
            hint = "check PGUSER and the entry in PGPASSFILE"
        else:
            hint = next((hint for sign, hint in _HINTS if sign in words), "is the server running, and are PGHOST and PGPORT right?")
        return OperationFailed(f"cannot connect to {goal} {self._where}", words, hint)

    @property
    def _where(self) -> str:
        return f"{self.libpq.get('PGHOST') or 'the local socket'}, port {self.libpq.get('PGPORT', '5432')}"

    def _parameters(self, database: str | None) -> dict[str, str]:
        parameters = {keyword: self.libpq[name] for name, keyword in _KEYWORDS.items() if name in self.libpq}
        parameters.setdefault("connect_timeout", _CONNECT_SECONDS)
        if database is not None:
            parameters["dbname"] = database
        return parameters | {"application_name": "pgkeeper"}


@contextmanager
def told(what: str) -> Iterator[None]:
    """Turn psycopg's errors inside the block into OperationFailed: `what` failed, and the server's own words."""
    try:
        yield
    except psycopg.Error as error:
        if isinstance(error, psycopg.errors.LockNotAvailable):
            hint = "end the blocking session or raise BACKUP_LOCK_TIMEOUT_SECONDS"
            raise LockTimeoutError(f"{what} failed", "something stayed locked for too long", hint) from error
        if is_recovery_conflict(str(error)):
            raise RecoveryConflictError(f"{what} failed", " ".join(str(error).split()), CONFLICT_HINT) from error
        words = error.diag.message_primary or str(error) or type(error).__name__
        raise OperationFailed(f"{what} failed", " ".join(words.split()), error.diag.message_hint or "") from error


@contextmanager
def unlogged(session: Session) -> Iterator[None]:
    """Keep the block's statements out of the server's log and its statistics: they carry password verifiers.

    The settings must hold before a transaction begins, since sampling is decided then.
    """
    for name, value in SILENT:
        session.execute(f"SET {name} = '{value}'")
    try:
        yield
    finally:
        for name, _value in SILENT:
            session.execute(f"RESET {name}")


def cut(session: Session) -> None:
    """Break a session that another thread may wait in: its work fails at once, whatever the server is doing.

    What the server still does there ends when it notices, or by who drops or closes the database.
    """
    with suppress(psycopg.Error, OSError), socket.socket(fileno=os.dup(session.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)


def pinned_options(major: int, *, ordinary: bool = False) -> str:
    """Return the `options` connection parameter with every setting that must not vary, as far as `major` knows it.

    `ordinary` leaves out what only superusers may set.
    """
    return " ".join(f"-c {name}={value}" for name, value, since, privileged in _PINNED if since <= major and not (ordinary and privileged))


def require_superuser(session: Session) -> None:
    """Check that the session may see everything. Raises ConfigurationError (exit status 3) when it is no superuser's."""
    row = session.execute("SELECT rolsuper, current_user::text AS name FROM pg_roles WHERE rolname = current_user").fetchone()
    if row is None or not row["rolsuper"]:
        name = row["name"] if row else "?"
        raise ConfigurationError(
            f"the role {name} is no superuser",
            "a complete backup includes roles, settings and every row",
            "connect as postgres, or set PGUSER to a superuser",
        )
