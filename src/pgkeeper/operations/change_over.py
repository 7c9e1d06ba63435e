"""The minutes, or rather the second, in which production changes over to another database: stop, close, swap, look, start.

What is done here is written down before it is done. Whatever goes wrong, `settle` brings production up again: with the new database if it
has the name already, with the old one otherwise.
"""

import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta

from pgkeeper.host.locks import exclusive
from pgkeeper.host.services import Services
from pgkeeper.model.errors import OperationFailed, PgkeeperError, RefusedError
from pgkeeper.model.progress import Progress
from pgkeeper.model.replacement import Replacement
from pgkeeper.operations.replacements import ReplacementJournal
from pgkeeper.operations.settle import settled_if_it_fails
from pgkeeper.postgres.database_workers import database_workers, lost_workers
from pgkeeper.postgres.facts import ClusterIdentity
from pgkeeper.postgres.new_database import database_oid
from pgkeeper.postgres.owners import Owners, ask_owners
from pgkeeper.postgres.server import Server, Session, told
from pgkeeper.postgres.swap import close_database, obstacles, swap
from pgkeeper.settings import Settings


def require_free(session: Session, database: str) -> None:
    """Raise RefusedError (exit status 6) when something ties production to its database, naming it."""
    tied = obstacles(session, database)
    if tied:
        raise RefusedError(f"database {database} cannot be replaced", "; ".join(tied), "end them first, then try again")


@dataclass(frozen=True)
class Changed:
    """The outcome: for how many seconds production was down, and warnings."""

    downtime_seconds: float
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class ChangeOver:
    """Where it happens: `session` is a superuser's, outside of the databases that change."""

    session: Session
    server: Server
    cluster: ClusterIdentity
    settings: Settings
    progress: Progress
    wait: timedelta

    def run(self, journal: ReplacementJournal, replacement: Replacement) -> Changed:
        """Change over. Raises PgkeeperError after everything is up again."""
        database = replacement.database
        # A dump would be cut off by the swap, and one that begins now would be of nobody knows which database.
        dumps = exclusive(self.settings.state_dir, f"dump {self.cluster.label} {database}", f"a backup of {database}", self.wait)
        # Whatever refuses us here refuses us late: a restored database waits to take production's place. Dumps stay out until that is
        # settled.
        workers = database_workers(self.session, replacement.old_oid)
        try:
            with ExitStack() as held, settled_if_it_fails(journal, self.settings, self.progress), told("the change-over"):
                held.enter_context(dumps)
                require_free(self.session, database)
                before = ask_owners(self.server, database, self.cluster.major)
                began = time.monotonic()
                self._stop_swap_start(journal, replacement, before)
        except PgkeeperError as error:
            # Production may have been closed for a moment, which ends such processes, although nothing was replaced.
            oid = None if self.session.closed else database_oid(self.session, database)
            raise error.hinting("; ".join(self._without(workers, oid, database))) from error
        journal.note("done")
        down = time.monotonic() - began
        return Changed(down, self._without(workers, replacement.new_oid, database))

    def _without(self, workers: list[str], oid: int | None, database: str) -> tuple[str, ...]:
        """Return what to say of those `workers`, processes of extensions, that do not work for the database `oid` any more."""
        lost = lost_workers(self.session, oid, workers) if workers and oid is not None else []
        if not lost:
            return ()
        ended = f"{', '.join(lost)} ended with the sessions of the database and did not come back"
        return (f"{ended}: its work for {database} goes on only after PostgreSQL is restarted",)

    def _stop_swap_start(self, journal: ReplacementJournal, replacement: Replacement, before: Owners) -> None:
        services = Services(self.settings.app_services, self.settings.state_dir)
        self.progress.phase("stop services")
        journal.note("stopping")
        services.stop()
        self.progress.phase("swap")
        journal.note("closing")
        close_database(self.session, replacement.old_oid)
        journal.note("swapping")
        swap(self.session, replacement.old_oid, replacement.old_name, replacement.new_oid)
        self._look(replacement, before)
        self.progress.phase("start services")
        journal.note("starting")
        services.start()

    def _look(self, replacement: Replacement, before: Owners) -> None:
        """See whether production works for all owners it worked for before; otherwise give the old database its name back."""
        try:
            now = ask_owners(self.server, replacement.database, self.cluster.major)
            lost = [f"{name} {reason}" for name, reason in now.refused.items() if name in before.served]
            if lost:
                raise OperationFailed(f"{replacement.new_name} does not work for its owners", "; ".join(lost))
        except PgkeeperError:
            close_database(self.session, replacement.new_oid)
            swap(self.session, replacement.new_oid, replacement.new_name, replacement.old_oid)
            raise
