"""Restoring the schema from `schema.dump`, with each owner's objects made by that owner.

Making an object may run code: domains in partition bounds, expressions of indexes, initial conditions of aggregates, constraints that are
validated. So entries are run one by one in sessions of their owners (`logins.py`), and by a superuser only where
`entry_owners.py` says so. Schemas and extensions come first, before anything of an ordinary role is there. Privileges for what
definitions use come with it, others after the data; event triggers come last, since they would run at each of our own commands.
"""

import os
from collections.abc import Callable, Iterable
from contextlib import nullcontext, suppress
from functools import partial

import psycopg
from psycopg import sql

from pgkeeper.model.errors import OperationFailed, PgkeeperError, RefusedError
from pgkeeper.postgres.load.ddl_guard import DdlGuard
from pgkeeper.postgres.load.entries import Entries, Entry
from pgkeeper.postgres.load.entry_owners import (
    EVENT_TRIGGERS,
    FOREIGN_KEYS,
    PRIVILEGES,
    ROUTINES,
    SCHEMAS_AND_EXTENSIONS,
    TABLES,
    early_privileges,
    superusers_entries,
)
from pgkeeper.postgres.load.foreign_code import ForeignCode
from pgkeeper.postgres.load.logins import Logins
from pgkeeper.postgres.load.owner_sessions import SUPERUSER, OwnerSessions
from pgkeeper.postgres.load.parallel import run_in_parallel
from pgkeeper.postgres.load.parents import Parents
from pgkeeper.postgres.load.pg_cron import is_pg_cron, named_for_pg_cron
from pgkeeper.postgres.load.surroundings import Surroundings
from pgkeeper.postgres.server import SILENT, WITHOUT_EVENT_TRIGGERS, Session
from pgkeeper.postgres.statements import statement_words

# Each has a session or more beside those of an application that may need them.
_MOST_WORKERS = 8
_TRUSTED = "SELECT quote_ident(lanname) AS name FROM pg_language WHERE lanpltrusted"
_SETTINGS = "SELECT lower(name) AS name FROM pg_settings WHERE context = 'user'"
_SUPERUSERS = "SELECT rolname AS name FROM pg_roles WHERE rolsuper"
_HINT = "if you trust everyone who may write code in this database, restore with --trust-database"


class SchemaRestore:
    """The schema of one backup on its way into a database; call the steps in their order.

    `connect` opens a superuser's session in the database, with `for_extensions` one whose path they can fall back on. `logins` gives
    sessions that act as one owner, and `surroundings` what these have in the database; without logins the superuser runs everything.
    `database_owner` is the OID of the role that will own the database. With `insist` a superuser also runs what an owner may not, and a
    warning says so; only for a database in a sandbox.
    """

    def __init__(
        self,
        entries: Entries,
        connect: Callable[..., Session],
        logins: Logins | None,
        surroundings: Surroundings,
        *,
        database_owner: int | None,
        insist: bool,
        warnings: list[str],
    ) -> None:
        self._entries = entries
        self._connect = connect
        self._logins = logins
        self._surroundings = surroundings
        self._insist = insist
        self._warnings = warnings
        self._admin = connect()
        self._admin.execute(f"SET {WITHOUT_EVENT_TRIGGERS}")
        self._superusers = superusers = {row["name"] for row in self._admin.execute(_SUPERUSERS)}
        trusted = {row["name"].encode() for row in self._admin.execute(_TRUSTED)}
        everything = entries.entries
        settings = {row["name"].encode() for row in self._admin.execute(_SETTINGS).fetchall()}
        self._by_superuser = (
            superusers_entries(everything, superusers, trusted, settings) if logins else frozenset(e.number for e in everything)
        )
        early = early_privileges(everything)
        routines = {entry.number for entry in everything if entry.is_one_of(ROUTINES)}
        self._of_routines: dict[int, list[Entry]] = {}
        for entry in everything:
            if entry.number in early and (about := entry.after & routines):
                self._of_routines.setdefault(min(about), []).append(entry)
        self._with_routines = {entry.number for found in self._of_routines.values() for entry in found}
        self._early = early - self._with_routines
        self._keys = self._foreign_keys()
        self._guard = DdlGuard(self._admin, database_owner) if logins else None
        self._workers = [OwnerSessions(self._session) for _ in range(min(os.cpu_count() or 1, _MOST_WORKERS))]
        self._parents = Parents(self._admin, everything)
        self._owners = {entry.number: entry.owner for entry in everything}
        self._foreign: ForeignCode | None = None
        self._for_extensions = False
        self._standing: dict[Session, tuple[bytes, ...]] = {}

    def pre_data(self) -> None:
        """Create schemas, extensions, types, functions, tables and all else that data needs."""
        entries = self._section(post=False)
        made = {entry.number for entry in entries if entry.is_one_of(SCHEMAS_AND_EXTENSIONS)}
        # With their privileges, which must not take back what is lent from then on.
        first = made | {entry.number for entry in entries if entry.number in self._early and entry.after & made}
        self._for_extensions = True
        self._one_by_one(entry for entry in entries if entry.number in first)
        self._workers[0].close()
        self._for_extensions = False
        if self._logins is not None:
            self._foreign = ForeignCode(self._admin, self._entries.entries, self._superusers)
        if self._guard is not None and self._logins is not None:
            self._guard.install()
            self._logins.guard = self._guard
            self._logins.admit(self._workers[0].of(SUPERUSER))
        self._one_by_one(entry for entry in entries if entry.number not in first)

    def post_data(self) -> None:
        """Create indexes, constraints, triggers and policies, several at a time; foreign keys and event triggers wait."""
        later = self._keys | {entry.number for entry in self._entries.entries if entry.is_one_of(EVENT_TRIGGERS)}
        self._at_once([entry for entry in self._section(post=True) if entry.number not in later])

    def privileges(self) -> None:
        """Apply the privileges that wait for the data, and default privileges."""
        self._one_by_one(entry for entry in self._entries.entries if self._is_late(entry))

    def foreign_keys(self) -> None:
        """Create foreign keys, and what is about them. Their owner may need the privileges of another owner's table."""
        self._at_once([entry for entry in self._section(post=True) if entry.number in self._keys])

    def close_guard(self) -> None:
        """End what holds only while the database is being built: nothing of ours is left in it."""
        if self._guard is not None and self._logins is not None:
            self._logins.guard = None
            self._guard.remove()

    def event_triggers(self) -> None:
        """Create event triggers."""
        self._one_by_one(entry for entry in self._entries.entries if entry.is_one_of(EVENT_TRIGGERS))

    def close(self) -> None:
        """End all sessions."""
        for worker in self._workers:
            worker.close()
        with suppress(psycopg.Error):
            self._admin.close()

    def _section(self, *, post: bool) -> list[Entry]:
        return [
            entry
            for entry in self._entries.entries
            if (entry.number in self._early and not post) or (entry.post_data is post and not entry.is_one_of(PRIVILEGES))
        ]

    def _is_late(self, entry: Entry) -> bool:
        return entry.is_one_of(PRIVILEGES) and entry.number not in self._early and entry.number not in self._with_routines

    def _foreign_keys(self) -> set[int]:
        keys: set[int] = set()
        for entry in self._section(post=True):
            if entry.is_one_of(FOREIGN_KEYS) or entry.after & keys:
                keys.add(entry.number)
        return keys

    def _one_by_one(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self._run(entry, 0)

    def _at_once(self, entries: list[Entry]) -> None:
        tables = frozenset(entry.number for entry in self._entries.entries if entry.is_one_of(TABLES))
        run_in_parallel(entries, tables, len(self._workers), self._run, self._break)

    def _break(self) -> None:
        for worker in self._workers:
            worker.break_off()

    def _run(self, entry: Entry, worker: int) -> None:
        """Run an entry's statements as whoever should. Raises PgkeeperError naming it."""
        owner = None if entry.number in self._by_superuser else entry.owner
        if owner is not None and self._parents.is_for_superuser(entry, self._owners):
            owner = None
        try:
            self._require_own_code(entry, owner)
            if owner is None:
                self._execute(entry, owner, worker)
            else:
                with self._parents.lent(entry, owner):
                    self._execute(entry, owner, worker)
        except RefusedError as error:
            if not self._insist:
                raise
            self._warnings.append(f"{error.what}, so a restore needs --trust-database: {error.why}")
            self._execute(entry, None, worker)

    def _require_own_code(self, entry: Entry, owner: str | None) -> None:
        if self._foreign is not None and (reason := self._foreign.in_entry(entry, owner)):
            whose = owner or "a superuser"
            raise RefusedError(f"{_words(entry.full[0])} would run code of another role with the rights of {whose}", reason, _HINT)

    def _execute(self, entry: Entry, owner: str | None, worker: int) -> None:
        session = self._workers[worker].of(owner)
        if self._standing.get(session) != entry.standing:
            for setting in entry.standing:
                session.execute(setting)
            self._standing[session] = entry.standing
        privileges = [text for found in self._of_routines.get(entry.number, ()) for text in found.full]
        if owner is None:
            # At once: nobody must see what is made before it is its owner's and its privileges hold.
            self._by_names(entry, owner, session, lambda: _send_as_superuser(session, entry, privileges))
            return
        for statement in entry.bare:
            self._by_names(entry, owner, session, partial(_send, session, owner, (statement,)))
        if privileges:
            _send_as_superuser(self._workers[worker].of(SUPERUSER), None, privileges)

    def _by_names(self, entry: Entry, owner: str | None, session: Session, work: Callable[[], None]) -> None:
        """Do `work`, once more where it needs the path of its owner. A superuser gets none but a superuser's."""
        if owner is not None or self._logins is None or entry.owner in self._superusers:
            self._surroundings.retry(session, self._admin, entry.owner, work, _words(entry.bare[0]) if entry.bare else "")
        else:
            work()

    def _session(self, owner: str | None) -> Session:
        if owner is None or self._logins is None:
            session = self._connect(for_extensions=self._for_extensions)
            for name, value in SILENT:
                session.execute(sql.SQL("SET {} = {}").format(sql.Identifier(*name.split(".")), value))
        else:
            session = self._logins.session(owner)
        for statement in self._entries.preamble:
            session.execute(statement)
        self._surroundings.give(session, owner)
        return session


def _send_as_superuser(session: Session, entry: Entry | None, privileges: Iterable[bytes]) -> None:
    """Make what an entry says, and give the privileges that belong to it, in one transaction.

    Event triggers stay away from privileges: those of an extension may have made some of them already, and refuse to change them.
    """
    with session.transaction():
        if entry is not None and not entry.is_one_of(PRIVILEGES):
            with named_for_pg_cron(session) if is_pg_cron(entry.kind) else nullcontext():
                _send(session, None, entry.full)
            entry = None
        session.execute(f"SET LOCAL {WITHOUT_EVENT_TRIGGERS}")
        _send(session, None, (*(entry.full if entry else ()), *privileges))


def _send(session: Session, owner: str | None, statements: Iterable[bytes]) -> None:
    for statement in statements:
        try:
            session.execute(statement)
        except psycopg.Error as error:
            raise _failure(owner, statement, error) from error


def _words(statement: bytes) -> str:
    return statement_words(statement.decode("utf-8", "replace"))


def _failure(owner: str | None, statement: bytes, error: psycopg.Error) -> PgkeeperError:
    """Return what to tell of a statement that failed; never its text, which may hold secrets."""
    words = " ".join((error.diag.message_primary or str(error) or type(error).__name__).split())
    what = _words(statement)
    if owner is not None and isinstance(error, psycopg.errors.InsufficientPrivilege):
        return RefusedError(f"{what} cannot be made with the rights of its owner {owner}", words, _HINT)
    return OperationFailed("the schema could not be restored", f"{words} in {what}", error.diag.message_hint or "")
