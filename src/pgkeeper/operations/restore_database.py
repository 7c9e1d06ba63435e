"""Rebuild one database from a backup: check, create, load, compare, open."""

import secrets
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from pgkeeper.host.beside import Beside
from pgkeeper.model.comparison import differences
from pgkeeper.model.errors import IntegrityError, PgkeeperError, RefusedError
from pgkeeper.model.manifest import DATABASE_FILE, SCHEMA_FILE, Manifest
from pgkeeper.model.names import fit_name
from pgkeeper.model.progress import Progress
from pgkeeper.operations.compare_database import compare_database
from pgkeeper.operations.restore_preparation import clear_leftovers, require_fit
from pgkeeper.postgres.dump import Dumper
from pgkeeper.postgres.facts import ClusterIdentity, other_versions, subscriptions
from pgkeeper.postgres.load.database_build import DatabaseBuild
from pgkeeper.postgres.load.entries import Entries, read_entries
from pgkeeper.postgres.load.logins import require_login
from pgkeeper.postgres.load.pg_cron import has_pg_cron, resting_jobs
from pgkeeper.postgres.lock_room import require_lock_room
from pgkeeper.postgres.new_database import PARTIAL_PREFIX, database_exists, open_database, set_aside
from pgkeeper.postgres.partitions import partitions
from pgkeeper.postgres.programs import program
from pgkeeper.postgres.roles import GlobalsMode, apply_roles, require_roles
from pgkeeper.postgres.schema_comparison import Statements, schema_differences
from pgkeeper.postgres.server import Server, Session, told
from pgkeeper.postgres.tablespaces import tablespaces
from pgkeeper.postgres.understanding import DumpUnderstanding, schema_statements, schema_statements_of, without_data
from pgkeeper.stores.copy import Copy

_LOCK_SECONDS = 60
# Kinds of entries, as pg_restore lists them, that are locked as long as a dump takes.
_LOCKED_KINDS = ("TABLE ", "VIEW ", "MATERIALIZED VIEW ", "FOREIGN TABLE ", "SEQUENCE ")
_NOT_LOCKED = ("TABLE ATTACH ", "SEQUENCE OWNED BY ")
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

    `trust_database` lets superusers do everything. `throwaway` says that the whole server is a sandbox that is gone afterwards: nothing
    needs to be cleared, and what an owner may not do with its own rights is done by a superuser, with a warning, instead of refused.
    `closed` lets nobody into the finished database. With `views_filled` a materialized view that can't be filled is a failure, and no
    warning. `globals_mode` says which of the backup's roles come back with it.
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
    views_filled: bool = False
    globals_mode: GlobalsMode = "missing"

    def __post_init__(self) -> None:
        """Choose the name under which the database is built."""
        self.result = Restored()
        self._partial = f"{PARTIAL_PREFIX}{secrets.token_hex(4)}"
        self._data_whole = False
        self._promised: Statements = Counter()
        missing = self._missing_tablespaces()
        if missing:
            self.result.warnings.append(f"tablespaces that do not exist here are replaced by the default one: {', '.join(missing)}")
        self._with_tablespaces = not missing

    def run(self) -> Restored:
        """Prepare, then build. Raises PgkeeperError, saying whether something was kept."""
        clear_leftovers(self.server, self.admin, self.result.warnings)
        if not self.trust_database:
            require_login(self.server, self.admin, self.cluster.major)
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
        build = self._new_build(self._partial)
        try:
            with told("the restore"):
                self._steps(build)
        except PgkeeperError as error:
            if self.throwaway:
                raise
            build.leave(tidy=self._data_whole)
            kept = self._keep_unverified(build) if self._data_whole else self._clear()
            raise error.hinting(kept) from error
        except BaseException:
            if not self.throwaway:
                build.leave(tidy=False)
                self._clear()
            raise

    def _new_build(self, name: str) -> DatabaseBuild:
        return DatabaseBuild(
            name, self.server, self.admin, self.cluster.major, self.manifest, self.result.warnings,
            trusted=self.trust_database, shut_in=self.throwaway,
        )  # fmt: skip

    def _steps(self, build: DatabaseBuild) -> None:
        if self.trust_database:
            self.result.warnings.append("everything was restored by a superuser, as --trust-database asks for")
        with self.phase("create database"):
            build.create()
        with self.phase("schema"):
            entries = self._entries()
            # The manifest tells of no views.
            require_lock_room(self.admin, entries.count(_LOCKED_KINDS, but=_NOT_LOCKED))
            build.pre_data(entries)
        refreshes = self._load(build, entries)
        self._data_whole = True
        with self.phase("indexes and constraints"):
            build.indexes_and_constraints()
        with self.phase("privileges"):
            build.privileges()
        with self.phase("foreign keys"):
            build.foreign_keys()
        with self.phase("materialized views"):
            build.fill_views(refreshes)
            if self.views_filled:
                self._require_views(build)
        with self.phase("event triggers"):
            build.finish_schema()
        with self.phase("compare and analyze"):
            self._compare_and_analyze(build, entries)
        with self.phase("open"):
            build.close()
            self.result.warnings += open_database(self.admin, self._partial, self.target, self.manifest.database, closed=self.closed)
            if has_pg_cron(self.manifest.database) and not (self.closed or self.throwaway):
                self.result.warnings += resting_jobs(self.admin, self.target)

    def _require_views(self, build: DatabaseBuild) -> None:
        if build.unfilled:
            raise RefusedError(
                "materialized views that were filled would be empty",
                "; ".join(map(str, build.unfilled.values())),
                "restore with --to, fill them there with REFRESH MATERIALIZED VIEW, and rename the databases yourself",
            )

    def _entries(self) -> Entries:
        """Read the schema's archive with the pg_restore of this server's version, or of the backup's if that is newer."""
        with self.backup.as_file(self.manifest.file(SCHEMA_FILE)) as schema:
            return read_entries(
                program("pg_restore", max(self.cluster.major, self.manifest.cluster.major)),
                schema.path,
                self.server.environment(self.cluster.major),
                schema.descriptors,
                tablespaces=self._with_tablespaces,
            )

    def _load(self, build: DatabaseBuild, entries: Entries) -> list[bytes]:
        """Load all data, and see that what was loaded is what the manifest promises; return what fills materialized views."""
        contents = self.manifest.contents
        with self.phase("load data"):
            witness = DumpUnderstanding()
            refreshes = build.load(self._saved, lambda done: self.progress.advance(done, contents.sql_bytes), witness)
            _require_none(differences(contents, witness.finish()), "the backup is not what its manifest says")
            self._promised = witness.statements
            if self._same_major:
                _require_none(
                    schema_differences(without_data(witness.statements), schema_statements_of(entries.statements())),
                    "the backup's schema.dump is not the schema of its database.sql.gz",
                )
        return refreshes

    def _saved(self) -> Iterator[bytes]:
        return self.backup.read_gzip(self.manifest.file(DATABASE_FILE))

    def _compare_and_analyze(self, build: DatabaseBuild, entries: Entries) -> None:
        """Do both at once: one reads what the other samples, and neither changes a row."""
        with Beside(build.analyze, build.stop_analyzing) as statistics:
            self._compare(build, entries)
            self.result.warnings += statistics.result()

    def _compare(self, build: DatabaseBuild, entries: Entries) -> None:
        """Raise IntegrityError naming what differs between the database and its backup."""
        if not self._same_major:
            self.result.warnings.append(
                f"the schema's text was not compared: the backup is from PostgreSQL {self.manifest.cluster.major},"
                f" this is {self.cluster.major}"
            )
        with build.connect() as session:
            # As the backup was dumped: through the roots of partitions, or each partition by itself.
            through_roots = partitions(session).isdisjoint((table.schema_name, table.name) for table in self.manifest.contents.tables)
        dumper = replace(self._dumper(self._partial), through_roots=through_roots)
        lines = compare_database(
            dumper, self.backup, self.manifest, self.progress, with_schema=self._same_major, unfilled=tuple(build.unfilled),
            promised_statements=self._promised, reprinted=lambda: self._reprinted(entries),
        )  # fmt: skip
        _require_none(lines, "what was restored differs from the backup's manifest")
        with build.connect() as session:
            self.result.warnings += other_versions(session, self.manifest.database.extensions)
            self.result.warnings += [
                f"subscription {name} is there, disabled, and names the original's slot: before dropping it, ALTER SUBSCRIPTION …"
                " SET (slot_name = NONE)"
                for name in subscriptions(session)
            ]

    def _reprinted(self, entries: Entries) -> Statements:
        """Load the backup's schema alone into another database, made the same way and dropped again; return what that prints."""
        build = self._new_build(f"{PARTIAL_PREFIX}{secrets.token_hex(4)}")
        build.warnings = []
        try:
            build.create()
            build.pre_data(entries)
            build.indexes_and_constraints()
            build.privileges()
            build.foreign_keys()
            build.finish_schema()
            return schema_statements(self._dumper(build.name).definitions(self.manifest.database.encoding))
        finally:
            build.drop()

    def _dumper(self, database: str) -> Dumper:
        return Dumper(self.server, database, self.cluster.major, f"pgkeeper {database}", _LOCK_SECONDS, self.progress)

    @property
    def _same_major(self) -> bool:
        return self.cluster.major == self.manifest.cluster.major

    def _keep_unverified(self, build: DatabaseBuild) -> str:
        """Give the database a name that says what it is, closed to all but superusers, and return what to tell the owner."""
        name = fit_name(self.target, "_unverified")
        try:
            with told("keeping it"), self._server_again() as admin:
                if database_exists(admin, name):
                    name = fit_name(self.target, f"_unverified_{secrets.token_hex(2)}")
                set_aside(admin, self._partial, name)
                build.drop_logins(admin)
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

    def _missing_tablespaces(self) -> list[str]:
        wanted = {self.manifest.database.tablespace, *self.manifest.database.tablespaces_used}
        return sorted(wanted - tablespaces(self.admin))


def _require_none(lines: tuple[str, ...], what: str) -> None:
    if lines:
        raise IntegrityError(what, "; ".join(lines))
