"""Rebuild one database from a backup: check, create, load, compare, open."""

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from pgkeeper.host.beside import Beside
from pgkeeper.model.errors import IntegrityError, PgkeeperError, RefusedError
from pgkeeper.model.manifest import DATABASE_FILE, SCHEMA_FILE, Manifest
from pgkeeper.model.names import fit_name
from pgkeeper.model.progress import Progress
from pgkeeper.operations.compare_database import compare_database
from pgkeeper.operations.restore_preparation import clear_leftovers, require_fit
from pgkeeper.postgres.analyze import analyze
from pgkeeper.postgres.archive import SchemaArchive
from pgkeeper.postgres.data_load import DataLoad
from pgkeeper.postgres.dump import Dumper
from pgkeeper.postgres.facts import ClusterIdentity, other_versions, subscriptions
from pgkeeper.postgres.loader import drop_role, loader_sessions, require_loader_login
from pgkeeper.postgres.new_database import (
    PARTIAL_PREFIX,
    create_database,
    database_exists,
    open_database,
    set_aside,
)
from pgkeeper.postgres.roles import GlobalsMode, apply_roles, require_roles
from pgkeeper.postgres.server import Server, Session, cut, told
from pgkeeper.postgres.stored_settings import search_path
from pgkeeper.postgres.tablespaces import tablespaces
from pgkeeper.stores.copy import Copy

# Each reads the whole dump for itself.
_MOST_LOADERS = 2
_LOCK_SECONDS = 60
_RESTART_SECONDS = 30


@dataclass
class Restored:
    """What there is to say about a finished restore: seconds by phase, roles that were created, warnings."""

    phases: dict[str, float] = field(default_factory=dict)
    created_roles: tuple[str, ...] = ()
    warnings: list[str] = field(default_factory=list)


@dataclass
class DatabaseRestore:
    """One restore on its way: database `target` from a backup; `admin` is a superuser's session in the maintenance database.

    The caller holds the server's restore lock. Whatever fails before the data is whole leaves nothing; what fails later (an index, the
    comparison) leaves the database as `<target>_unverified`, since it may be all there is.

    `trust_database` loads data as a superuser. `throwaway` says that the whole server is shut in and gone afterwards: nothing needs to be
    cleared, and what would run owners' code as a superuser is remarked on instead of refused. `closed` lets nobody into the finished
    database. `globals_mode` says which of the backup's roles come back with it.
    """

    admin: Session
    cluster: ClusterIdentity
    backup: Copy
    manifest: Manifest
    target: str
    server: Server
    progress: Progress
    trust_database: bool = False
    throwaway: bool = False
    closed: bool = False
    globals_mode: GlobalsMode = "missing"

    def __post_init__(self) -> None:
        """Choose the name under which the database is built."""
        self.result = Restored()
        self._partial = f"{PARTIAL_PREFIX}{secrets.token_hex(4)}"
        self._data_whole = False
        self._unfilled: list[bytes] = []
        missing = self._missing_tablespaces()
        if missing:
            self.result.warnings.append(f"tablespaces that do not exist here are replaced by the default one: {', '.join(missing)}")
        self._with_tablespaces = not missing

    def run(self) -> Restored:
        """Prepare, then build. Raises PgkeeperError, saying whether something was kept."""
        clear_leftovers(self.server, self.admin, self.result.warnings)
        if not self.trust_database:
            require_loader_login(self.server, self.admin, self.cluster.major)
        require_fit(self.admin, self.cluster, self.manifest)
        if self.globals_mode == "none":
            require_roles(self.admin, self.manifest.cluster)
        if self.manifest.omitted:
            names = ", ".join(f"{table.schema_name}.{table.name}" for table in self.manifest.omitted)
            self.result.warnings.append(f"not in the backup, and so not restored: rows of {names}")
        with self.phase("check backup"):
            self.backup.check(self.progress)
        with self.phase("create roles"):
            self.result.created_roles = apply_roles(self.admin, self.manifest.cluster, self.globals_mode, self.result.warnings)
        self.build()
        return self.result

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Announce a phase and take its time."""
        self.progress.phase(name)
        began = time.monotonic()
        yield
        self.result.phases[name] = round(time.monotonic() - began, 3)

    def build(self) -> None:
        """Create, fill, compare and open the database. Raises PgkeeperError, saying whether something was kept."""
        try:
            with told("the restore"), self.backup.as_file(self.manifest.file(SCHEMA_FILE)) as schema:
                archive = SchemaArchive(
                    schema.path, self.server, self._partial, self.cluster.major, self.manifest.cluster.major, self._with_tablespaces,
                    schema.descriptors,
                )  # fmt: skip
                self._steps(archive)
        except PgkeeperError as error:
            if self.throwaway:
                raise
            kept = self._keep_unverified() if self._data_whole else self._clear()
            raise error.hinting(kept) from error
        except BaseException:
            if not self.throwaway:
                self._clear()
            raise

    def _steps(self, archive: SchemaArchive) -> None:
        with self.phase("create database"):
            create_database(self.admin, self._partial, self.manifest.database)
            self._match_template()
        with self.phase("schema"):
            archive.pre_data()
            if not self.trust_database:
                self._require_harmless_constraints(archive)
        refreshes = self._load()
        self._data_whole = True
        self._finish_schema(archive, refreshes)
        with self.phase("compare and analyze"):
            self._compare_and_analyze()
        with self.phase("open"):
            self.result.warnings += open_database(self.admin, self._partial, self.target, self.manifest.database, closed=self.closed)

    def _match_template(self) -> None:
        """Remove what template0 brings and the original did not have."""
        if not self.manifest.database.has_public_schema:
            with self._connect() as session:
                session.execute("DROP SCHEMA public")

    def _require_harmless_constraints(self, archive: SchemaArchive) -> None:
        with self._connect() as session:
            found = archive.constraints_that_run_code(session)
        if not found:
            return
        what, why = "constraints of this database would run its owners' code as a superuser", "; ".join(found)
        if not self.throwaway:
            raise RefusedError(what, why, "if you trust everyone who may write functions in it, restore with --trust-database")
        self.result.warnings.append(f"{what}, so a restore needs --trust-database: {why}")

    def _load(self) -> list[bytes]:
        """Load all data as an ordinary role; return the statements that fill materialized views, which must wait for privileges."""
        contents = self.manifest.contents
        tables = {(table.schema_name, table.name): table.bytes for table in contents.tables}
        with self.phase("load data"), self._connect() as session, self._loaders() as (loaders, role):
            load = DataLoad(session, loaders, role, search_path(self.manifest.database.settings), self._saved, tables)
            load.run(lambda done: self.progress.advance(done, contents.sql_bytes))
        return load.refreshes

    def _saved(self) -> Iterator[bytes]:
        return self.backup.read_gzip(self.manifest.file(DATABASE_FILE))

    @contextmanager
    def _loaders(self) -> Iterator[tuple[list[Session], str | None]]:
        """Yield the sessions that load data, and their role: an unprivileged one, or none when the owner trusts the database instead."""
        count = min(os.cpu_count() or 1, _MOST_LOADERS)
        if self.trust_database:
            self.result.warnings.append("data was loaded by a superuser, as --trust-database asks for")
            with ExitStack() as stack:
                yield [stack.enter_context(self._connect()) for _ in range(count)], None
        else:
            with loader_sessions(self.server, self.admin, self._partial, self.cluster.major, count) as (sessions, role):
                yield sessions, role
            if warning := drop_role(self.admin, role):
                self.result.warnings.append(warning)

    def _finish_schema(self, archive: SchemaArchive, refreshes: list[bytes]) -> None:
        with self.phase("indexes and constraints"):
            archive.post_data()
        with self.phase("privileges"):
            archive.privileges()
        with self.phase("materialized views"), self._connect() as session:
            session.execute("SET search_path = ''")
            for statement in refreshes:
                self._refresh(session, statement)
            # Not earlier: loading data needs it.
            if "plpgsql" not in {extension.name for extension in self.manifest.database.extensions}:
                session.execute("DROP EXTENSION plpgsql")
        with self.phase("event triggers"):
            archive.event_triggers()

    def _refresh(self, session: Session, statement: bytes) -> None:
        """Fill a materialized view. One that can't be filled now costs no restore: it shows only what was restored anyway."""
        try:
            with told(statement.decode("utf-8", "replace").rstrip(";")):
                session.execute(statement)
        except PgkeeperError as error:
            self._unfilled.append(statement)
            self.result.warnings.append(f"{error}; the view is there, but empty")

    def _compare_and_analyze(self) -> None:
        """Do both at once: one reads what the other samples, and neither changes a row."""
        with self._connect() as session, Beside(lambda: analyze(session), lambda: cut(session)) as statistics:
            self._compare()
            self.result.warnings += statistics.result()

    def _compare(self) -> None:
        """Raise IntegrityError naming what differs between the database and its backup."""
        same_major = self.cluster.major == self.manifest.cluster.major
        if not same_major:
            self.result.warnings.append(
                f"the schema's text was not compared: the backup is from PostgreSQL {self.manifest.cluster.major},"
                f" this is {self.cluster.major}"
            )
        dumper = Dumper(self.server, self._partial, self.cluster.major, f"pgkeeper {self._partial}", _LOCK_SECONDS, self.progress)
        lines = compare_database(dumper, self.backup, self.manifest, self.progress, with_schema=same_major, unfilled=self._unfilled)
        _require_none(lines)
        with self._connect() as session:
            self.result.warnings += other_versions(session, self.manifest.database.extensions)
            self.result.warnings += [
                f"subscription {name} is there, disabled, and names the original's slot: before dropping it, ALTER SUBSCRIPTION …"
                " SET (slot_name = NONE)"
                for name in subscriptions(session)
            ]

    def _keep_unverified(self) -> str:
        """Give the database a name that says what it is, closed to all but superusers, and return what to tell the owner."""
        name = fit_name(self.target, "_unverified")
        try:
            with told("keeping it"), self._server_again() as admin:
                if database_exists(admin, name):
                    name = fit_name(self.target, f"_unverified_{secrets.token_hex(2)}")
                set_aside(admin, self._partial, name)
        except PgkeeperError as error:
            return f"all rows were loaded into {self._partial}, which the next restore removes: rename it first ({error})"
        return f"all rows were loaded, so the database was kept as {name}, which only superusers may enter"

    def _clear(self) -> str:
        """Remove what is unfinished; return what to tell the owner when that can't be done now."""
        try:
            with told("clearing up"), self._server_again() as admin:
                clear_leftovers(self.server, admin, self.result.warnings)
        except PgkeeperError as error:
            return f"{self._partial} is left for the next restore to remove ({error})"
        return ""

    def _server_again(self) -> Session:
        """Return a new session in the maintenance database: what failed may have been the old one. Waits for a server that restarts."""
        deadline = time.monotonic() + _RESTART_SECONDS
        while True:
            try:
                return self.server.connect_maintenance()
            except PgkeeperError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(1)

    def _connect(self) -> Session:
        return self.server.connect(self._partial, major=self.cluster.major)

    def _missing_tablespaces(self) -> list[str]:
        wanted = {self.manifest.database.tablespace, *self.manifest.database.tablespaces_used}
        return sorted(wanted - tablespaces(self.admin))


def _require_none(lines: tuple[str, ...]) -> None:
    if lines:
        raise IntegrityError("what was restored differs from the backup's manifest", "; ".join(lines))
