"""The minutes, or rather the second, in which production changes over to another database: stop, close, swap, look, start.

What is done here is written down before it is done. Whatever goes wrong, `settle` brings production up again: with the new database if it
has the name already, with the old one otherwise.
"""

import time
from dataclasses import dataclass
from datetime import timedelta

from pgkeeper.host.locks import exclusive
from pgkeeper.host.services import Services
from pgkeeper.model.errors import OperationFailed, PgkeeperError, RefusedError
from pgkeeper.model.progress import Progress
from pgkeeper.model.replacement import Replacement
from pgkeeper.operations.replacements import ReplacementJournal
from pgkeeper.operations.settle import settle_one
from pgkeeper.postgres.facts import ClusterIdentity
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
class ChangeOver:
    """Where it happens: `session` is a superuser's, outside of the databases that change."""

    session: Session
    server: Server
    cluster: ClusterIdentity
    settings: Settings
    progress: Progress
    wait: timedelta

    def run(self, journal: ReplacementJournal, replacement: Replacement) -> float:
        """Change over and return the seconds during which production was down. Raises PgkeeperError after everything is up again."""
        services = Services(self.settings.app_services, self.settings.state_dir)
        database = replacement.database
        # A dump would be cut off by the swap, and one that begins now would be of nobody knows which database.
        with exclusive(self.settings.state_dir, f"dump {self.cluster.label} {database}", f"a backup of {database}", self.wait):
            require_free(self.session, database)
            before = ask_owners(self.server, database, self.cluster.major)
            began = time.monotonic()
            try:
                with told("the change-over"):
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
            except PgkeeperError as error:
                said = self._recover(journal)
                raise error.hinting(said) from error
            except BaseException:
                self._recover(journal)
                raise
            journal.note("done")
            return time.monotonic() - began

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

    def _recover(self, journal: ReplacementJournal) -> str:
        """Bring production up; return for the owner how it is now."""
        known = journal.read()
        if known is None:
            return ""
        try:
            said = settle_one(self.settings, known, self.progress)
        except PgkeeperError as error:
            said = f"production could not be brought up again ({error}); try once more with `pgkeeper restore --resume`"
        self.progress.note(said)
        return said
