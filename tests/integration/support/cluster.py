"""A throwaway PostgreSQL cluster with Debian's way of letting people in."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from .binaries import major_of, server_directory
from .ports import free_port
from .user import SERVICE_USER, make_service_directory
from .waiting import wait_until
from .workspace import Workspace

# A test looks at databases whose settings are made to hurt; its own sessions must not be hurt by them.
PINNED_OPTIONS = " ".join(
    f"-c {setting}"
    for setting in (
        "role=none",
        "statement_timeout=0",
        "lock_timeout=0",
        "idle_in_transaction_session_timeout=0",
        "default_transaction_read_only=off",
        "default_transaction_isolation=read\\ committed",
        "row_security=on",
        "session_replication_role=origin",
        "search_path=public",
        "TimeZone=UTC",
        "DateStyle=ISO,YMD",
        "IntervalStyle=postgres",
        "bytea_output=hex",
        "extra_float_digits=1",
        "standard_conforming_strings=on",
        "backslash_quote=safe_encoding",
        "quote_all_identifiers=off",
        "xmlbinary=base64",
        "lc_monetary=C",
    )
)

SETTINGS = """
listen_addresses = '127.0.0.1'
cluster_name = '{version}/test'
max_connections = 40
fsync = off
synchronous_commit = off
full_page_writes = off
autovacuum = off
max_prepared_transactions = 4
wal_level = logical
timezone = 'UTC'
log_line_prefix = '%m [%p] %q%a %u@%d '
log_connections = off
"""

ACCESS = """
local all postgres peer map=superuser
local replication postgres peer map=superuser
local all all peer
host  all all 127.0.0.1/32 scram-sha-256
"""

# The test session is root, and has threads: changing its effective user would change it for all of them.
IDENTITIES = """
superuser postgres postgres
superuser root postgres
"""


class Cluster:
    """A running server; `socket_directory` and `port` are what a libpq client needs. Its segments of the log have `segment_mb` MB.

    `binaries` is the directory of its programs: the newest that is installed, unless another is named.
    """

    def __init__(self, workspace: Workspace, name: str = "cluster", segment_mb: int = 16, binaries: Path | None = None) -> None:
        self.binaries = binaries or server_directory()
        self.socket_directory = workspace.directory(f"{name}-run", 0o755)
        self.data = workspace.directory(f"{name}-data")
        self.port = free_port()
        self._initialise(segment_mb)
        self.start()

    def _initialise(self, segment_mb: int = 16) -> None:
        options = ["--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--auth=peer", f"--wal-segsize={segment_mb}"]
        self._as_server("initdb", "--pgdata", str(self.data), *options)
        settings = SETTINGS.format(version=major_of(self.binaries))
        settings += f"port = {self.port}\nunix_socket_directories = '{self.socket_directory}'\n"
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(settings)
        (self.data / "pg_hba.conf").write_text(ACCESS)
        (self.data / "pg_ident.conf").write_text(IDENTITIES)

    def made_anew(self) -> None:
        """Let a new cluster run where the data directory was, which is gone."""
        make_service_directory(self.data)
        self._initialise()
        self.start()

    def start(self, *settings: str) -> None:
        """Start the server with these `settings` on its command line, and wait until it answers."""
        options = [f"-o-c {setting}" for setting in settings]
        self._as_server("pg_ctl", "start", "-w", "-D", str(self.data), "-l", str(self.data / "server.log"), *options)

    def stop(self) -> None:
        """Stop the server, ending all its sessions."""
        self._as_server("pg_ctl", "stop", "-w", "-m", "fast", "-D", str(self.data))

    def _as_server(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self.binaries / program, *arguments],
            user=SERVICE_USER,
            group=SERVICE_USER,
            extra_groups=[],
            cwd="/",
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )

    def environment(self) -> dict[str, str]:
        """What leads a libpq client to this server through its socket."""
        return {"PGHOST": str(self.socket_directory), "PGPORT": str(self.port)}

    @contextmanager
    def connect(
        self, database: str = "postgres", *, encoding: str = "UTF8", application_name: str = "test-bed"
    ) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
        """A superuser's autocommit session that no database's settings can bend."""
        connection = psycopg.connect(
            host=str(self.socket_directory),
            port=self.port,
            user=SERVICE_USER,
            dbname=database,
            options=PINNED_OPTIONS,
            client_encoding=encoding,
            application_name=application_name,
            autocommit=True,
        )
        try:
            yield connection
        finally:
            connection.close()

    def query(self, statement: sql.Composed | str, *values: object, database: str = "postgres") -> list[tuple[object, ...]]:
        """The rows of one statement."""
        with self.connect(database) as connection:
            return connection.execute(statement, values or None).fetchall()

    def execute(self, statement: sql.Composed | str, *, database: str = "postgres") -> None:
        """Run one statement."""
        with self.connect(database) as connection:
            connection.execute(statement)

    def databases(self) -> set[str]:
        """Names of all databases."""
        return {str(name) for (name,) in self.query("select datname from pg_database")}

    def roles(self) -> set[str]:
        """Names of all roles."""
        return {str(name) for (name,) in self.query("select rolname from pg_roles")}

    def drop_database(self, name: str) -> None:
        """Drop a database, its subscriptions and its sessions; nothing happens when it isn't there."""
        if name not in self.databases():
            return
        self.execute(sql.SQL("alter database {} allow_connections true").format(sql.Identifier(name)))
        with self.connect(name) as connection:
            names = connection.execute(
                "select subname from pg_subscription where subdbid = (select oid from pg_database where datname = current_database())"
            ).fetchall()
            for (subscription,) in names:
                identifier = sql.Identifier(str(subscription))
                connection.execute(sql.SQL("alter subscription {} disable").format(identifier))
                connection.execute(sql.SQL("alter subscription {} set (slot_name = none)").format(identifier))
                connection.execute(sql.SQL("drop subscription {}").format(identifier))
        self.execute(sql.SQL("alter database {} is_template false").format(sql.Identifier(name)))
        self.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    def clients(self) -> list[str]:
        """Who is connected beside the test bed itself, in words."""
        rows = self.query(
            "select format('%s on %s: %s %s', application_name, datname, state, left(query, 80)) from pg_stat_activity"
            " where backend_type in ('client backend', 'parallel worker') and application_name <> 'test-bed'"
        )
        return [str(row[0]) for row in rows]

    def psql(self, database: str, script: str | bytes, environment: Mapping[str, str] | None = None) -> None:
        """Run a script with psql, which stops at the first error."""
        arguments: list[str | Path] = [self.binaries / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", dbname(database)]
        done = subprocess.run(
            arguments,
            user=SERVICE_USER,
            group=SERVICE_USER,
            extra_groups=[],
            cwd="/",
            env={
                "PATH": "/usr/bin:/bin",
                "PGOPTIONS": PINNED_OPTIONS,
                "PGAPPNAME": "test-bed",
                **self.environment(),
                **(environment or {}),
            },
            input=script.encode() if isinstance(script, str) else script,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise AssertionError(f"psql on {database!r}: {done.stderr.decode(errors='replace')}")


class Standby(Cluster):
    """A standby of `primary`, whose replay waits for nobody who reads."""

    def __init__(self, workspace: Workspace, primary: Cluster, name: str = "standby") -> None:
        self._primary = primary
        super().__init__(workspace, name)

    def _initialise(self, segment_mb: int = 16) -> None:
        source = f"host={self._primary.socket_directory} port={self._primary.port} user=postgres"
        self._as_server("pg_basebackup", "-D", str(self.data), "--write-recovery-conf", "--checkpoint=fast", "--no-sync", "-d", source)
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(f"port = {self.port}\nunix_socket_directories = '{self.socket_directory}'\n")
            file.write("max_standby_streaming_delay = 0\nmax_standby_archive_delay = 0\n")

    def catch_up(self) -> None:
        """Wait until everything the primary has written is replayed here."""
        there = self._primary.query("select pg_current_wal_lsn()::text")[0][0]
        wait_until(lambda: self.query("select pg_last_wal_replay_lsn() >= %s::pg_lsn", there)[0][0], f"the replay of {there}")


def dbname(database: str) -> str:
    """A connection string for a database of any name, for programs that would take the bare name apart."""
    return psycopg.conninfo.make_conninfo(dbname=database)
