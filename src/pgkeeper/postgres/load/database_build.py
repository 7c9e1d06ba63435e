"""A database on its way from empty to whole: what is done in it, each step by those whose objects it is about."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

import psycopg

from pgkeeper.model.errors import PgkeeperError
from pgkeeper.model.manifest import Manifest
from pgkeeper.postgres.analyze import analyze
from pgkeeper.postgres.data_load import DataLoad
from pgkeeper.postgres.load.entries import Entries
from pgkeeper.postgres.load.logins import NOBODY, Logins
from pgkeeper.postgres.load.owner_sessions import SUPERUSER, OwnerSessions
from pgkeeper.postgres.load.schema_restore import SchemaRestore
from pgkeeper.postgres.load.surroundings import Surroundings
from pgkeeper.postgres.new_database import create_database, drop_database
from pgkeeper.postgres.roles import role_oid
from pgkeeper.postgres.server import WITHOUT_EVENT_TRIGGERS, Server, Session, pinned_options, told
from pgkeeper.postgres.understanding import DumpUnderstanding

# Each reads the whole dump for itself.
_MOST_LOADERS = 2
_USUAL_PATH = r'-c search_path="$user",\ public'
_REFRESHED = re.compile(rb"REFRESH MATERIALIZED VIEW (.*);", re.DOTALL)
_OWNER = """
SELECT r.rolname AS name, r.rolsuper AS superusers FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner WHERE c.oid = %s::regclass
"""


class DatabaseBuild:
    """The database `name`, built from a backup's `entries` and data; call the steps in their order.

    `admin` is a superuser's session in the maintenance database. With `trusted` everything is done by superusers. `shut_in` says that
    the server is a sandbox: what an owner may not do with its own rights is done by a superuser, with a warning. `warnings` gets what
    cost nothing. `unfilled` are the statements of materialized views that could not be filled, and why.
    """

    def __init__(
        self,
        name: str,
        server: Server,
        admin: Session,
        major: int,
        manifest: Manifest,
        warnings: list[str],
        *,
        trusted: bool,
        shut_in: bool,
    ) -> None:
        self.name = name
        self.unfilled: dict[bytes, PgkeeperError] = {}
        self._server = server
        self._admin = admin
        self._major = major
        self._manifest = manifest
        self.warnings = warnings
        self._trusted = trusted
        self._shut_in = shut_in
        self._logins = Logins(server, admin, name, major)
        self._surroundings = Surroundings(manifest, trusted=trusted)
        self._schema: SchemaRestore | None = None
        self._analyzing = OwnerSessions(self._for_analyze)

    def create(self) -> None:
        """Create the database as the original was when it was empty, closed to all but superusers."""
        create_database(self._admin, self.name, self._manifest.database)
        if not self._manifest.database.has_public_schema:
            with self.connect() as session:
                session.execute("DROP SCHEMA public")

    def pre_data(self, entries: Entries) -> None:
        """Create types, functions, tables and all else that data needs."""
        self._schema = SchemaRestore(
            entries,
            self.connect,
            None if self._trusted else self._logins,
            self._surroundings,
            database_owner=role_oid(self._admin, self._manifest.database.owner),
            insist=self._shut_in,
            warnings=self.warnings,
        )
        self._schema.pre_data()

    def load(self, read: Callable[[], Iterator[bytes]], advance: Callable[[int], None], witness: DumpUnderstanding) -> list[bytes]:
        """Load all data; return the statements that fill materialized views, which must wait for privileges."""
        workers = [OwnerSessions(self._for_load) for _ in range(min(os.cpu_count() or 1, _MOST_LOADERS))]
        nobody = None if self._trusted else self._logins.name(NOBODY)
        try:
            with self.connect() as session:
                session.execute(f"SET {WITHOUT_EVENT_TRIGGERS}")
                load = DataLoad(session, workers, nobody, read, self._manifest.contents, witness)
                load.run(advance)
        finally:
            for sessions in workers:
                sessions.close()
        return load.refreshes

    def indexes_and_constraints(self) -> None:
        """Create indexes, constraints, triggers and policies, several at a time."""
        self._begun().post_data()

    def privileges(self) -> None:
        """Apply privileges and default privileges."""
        self._begun().privileges()

    def foreign_keys(self) -> None:
        """Create foreign keys, which other owners' privileges may allow."""
        self._begun().foreign_keys()

    def fill_views(self, refreshes: Sequence[bytes]) -> None:
        """Fill materialized views, each as its owner. One that can't be filled now costs no restore: it shows what was restored anyway."""
        sessions = OwnerSessions(self._for_refresh)
        try:
            for statement in refreshes:
                try:
                    with told(_words(statement)):
                        self._fill_view(sessions, statement)
                except PgkeeperError as error:
                    self.unfilled[statement] = error
                    self.warnings.append(f"{error}; the view is there, but empty")
        finally:
            sessions.close()

    def finish_schema(self) -> None:
        """Leave nothing of ours in the database, then create event triggers."""
        schema = self._begun()
        schema.close_guard()
        # Not earlier: loading data and our guard need it.
        if "plpgsql" not in {extension.name for extension in self._manifest.database.extensions}:
            with self.connect() as session:
                session.execute("DROP EXTENSION plpgsql")
        schema.event_triggers()

    def analyze(self) -> list[str]:
        """Give the planner its statistics; return what could not be analyzed."""
        try:
            return analyze(self._analyzing, self._surroundings, ordinary=not self._trusted)
        finally:
            self._analyzing.close()

    def stop_analyzing(self) -> None:
        """End `analyze` in another thread."""
        self._analyzing.break_off()

    def close(self) -> None:
        """End all sessions, and take away the roles that logged in. The database must be whole, or gone."""
        self.leave()
        self._logins.drop()
        self.warnings += [*self._surroundings.warnings, *self._logins.warnings]

    def leave(self, *, tidy: bool = True) -> None:
        """End all sessions; with `tidy` what we lent in the database ends as well, if it can still be reached."""
        if self._schema is not None:
            if tidy:
                with suppress(psycopg.Error, PgkeeperError):
                    self._schema.close_guard()
            self._schema.close()
        self._logins.close()

    def drop_logins(self, admin: Session) -> None:
        """Take away the roles that logged in, by another session than the one that made them."""
        self._logins.drop(admin)
        self.warnings += self._logins.warnings

    def drop(self) -> None:
        """Remove the database with all that belongs to its building."""
        self.leave(tidy=False)
        drop_database(self._server, self._admin, self.name)
        self._logins.drop()

    def connect(self, *, for_extensions: bool = False) -> Session:
        """Open a superuser's session in the database.

        With `for_extensions` its path is at first PostgreSQL's default, which scripts of extensions may fall back on: only while nothing of
        an ordinary role is there.
        """
        more = {"options": f"{pinned_options(self._major)} {_USUAL_PATH}"} if for_extensions else {}
        session = self._server.connect(self.name, major=self._major, **more)
        self._logins.admit(session)
        return session

    def _begun(self) -> SchemaRestore:
        assert self._schema is not None, "pre_data comes first"
        return self._schema

    def _session(self, owner: str | None) -> Session:
        session = self.connect() if owner is SUPERUSER else self._logins.session(owner)
        self._surroundings.give(session, owner)
        return session

    def _for_load(self, owner: str | None) -> Session:
        session = self._session(owner)
        self._surroundings.set_stored_path(session, owner)
        return session

    def _for_refresh(self, owner: str | None) -> Session:
        session = self._session(owner)
        session.execute("SET search_path = ''")
        return session

    def _for_analyze(self, owner: str | None) -> Session:
        session = self._session(owner)
        session.execute("SET default_transaction_read_only = on")
        return session

    def _fill_view(self, sessions: OwnerSessions, statement: bytes) -> None:
        """Fill a view as its owner, unless that is a superuser. Raises psycopg.Error."""
        named = _REFRESHED.fullmatch(statement)
        admin = sessions.of(SUPERUSER)
        row = admin.execute(_OWNER, (named[1].decode("utf-8", "surrogateescape") if named else "",)).fetchone()
        if row is None:
            admin.execute(statement)
            return
        session = admin if row["superusers"] or self._trusted else sessions.of(row["name"])
        self._surroundings.retry(session, admin, row["name"], lambda: session.execute(statement), _words(statement))


def _words(refresh: bytes) -> str:
    return refresh.decode("utf-8", "replace").rstrip(";")
