"""Finish what a killed replacement left: in the old database or in the new one, never between, and with services running."""

from collections.abc import Iterator
from contextlib import contextmanager

from pgkeeper.host.logs import log
from pgkeeper.host.services import Services
from pgkeeper.model.errors import OperationFailed, PgkeeperError
from pgkeeper.model.progress import Progress
from pgkeeper.model.replacement import Replacement, ending, was_touched
from pgkeeper.operations.places import outside_session, server
from pgkeeper.operations.replacements import ReplacementJournal, replacements_on
from pgkeeper.operations.restore_preparation import clear_leftovers
from pgkeeper.postgres.facts import ClusterIdentity, identify, passing_roles
from pgkeeper.postgres.new_database import database_is_closed, database_oid, drop_database, leftovers
from pgkeeper.postgres.server import Session, told
from pgkeeper.postgres.swap import open_again
from pgkeeper.settings import Settings


def settle(settings: Settings, cluster: ClusterIdentity, progress: Progress) -> list[str]:
    """Settle every replacement on `cluster` that is not finished; the caller holds its restore lock, so nobody is at it.

    Returns what was done, a line each. Raises PgkeeperError when production can't be brought up.
    """
    settled = [settle_one(settings, each, progress) for each in replacements_on(cluster, settings) if not each.finished]
    return settled + _cleared(settings) if settled else []


@contextmanager
def settled_if_it_fails(journal: ReplacementJournal, settings: Settings, progress: Progress) -> Iterator[None]:
    """Settle the replacement of `journal` when the block fails, and say in the error how things are now."""
    try:
        yield
    except PgkeeperError as error:
        raise error.hinting(_settled(journal, settings, progress)) from error
    except BaseException:
        _settled(journal, settings, progress)
        raise


def _settled(journal: ReplacementJournal, settings: Settings, progress: Progress) -> str:
    known = journal.read()
    if known is None:
        return ""
    try:
        said = settle_one(settings, known, progress)
    except PgkeeperError as error:
        failed = "production could not be brought up again" if was_touched(known) else "what was restored could not be removed"
        said = f"{failed} ({error}); try once more with `pgkeeper restore --resume`"
    progress.note(said)
    return said


def _cleared(settings: Settings) -> list[str]:
    """Remove what the restore of a killed replacement left unfinished: nobody restores while we hold the lock."""
    warnings: list[str] = []
    with server(settings).connect_maintenance() as session, told("removing unfinished databases"):
        databases, roles = leftovers(session), passing_roles(session)
        clear_leftovers(server(settings), session, warnings)
        left = {*leftovers(session), *passing_roles(session)}
    removed = [f"the unfinished database {name} was removed" for name in databases if name not in left]
    removed += [f"the role {name} of the killed restore was removed" for name in roles if name not in left]
    return removed + warnings


def settle_one(settings: Settings, replacement: Replacement, progress: Progress) -> str:
    """Settle one; returns what was done, for people."""
    progress.phase(f"settle {replacement.replacement_id}")
    with outside_session(settings, replacement.database) as session, told(f"settling {replacement.replacement_id}"):
        if identify(session).system_identifier != replacement.system_identifier:
            raise OperationFailed(
                f"{replacement.replacement_id} was begun on another server", f"system identifier {replacement.system_identifier}"
            )
        went_on = ending(replacement, database_oid(session, replacement.database)) == "go_on"
        left = ""
        if went_on:
            open_again(session, replacement.new_oid)
        else:
            left = _go_back(session, replacement, settings)
    if was_touched(replacement):
        Services(settings.app_services, settings.state_dir).start()
    ReplacementJournal(settings, replacement.replacement_id).note("done" if went_on else "undone")
    log.warning("replacement settled", replacement_id=replacement.replacement_id, went_on=went_on)
    what = f"{'undoing the replacement of' if replacement.kind == 'undo' else 'replacing'} {replacement.database}"
    if went_on:
        return f"{what} had been done, but for the end; {replacement.database} is open and services run"
    return f"{what} was given up; {replacement.database} is as it was before, and services run{left}"


def _go_back(session: Session, replacement: Replacement, settings: Settings) -> str:
    """Open production, and drop what waited to take its place; return what is left of that, to be added to a sentence.

    One that the server will not drop is expiry's to drop: production is well, and nobody's next restore has to wait for that.
    """
    if was_touched(replacement) and database_oid(session, replacement.database) == replacement.old_oid:
        open_again(session, replacement.old_oid)
    # Only what waited, closed, to take the place: never a database that anybody could have written to.
    waits = replacement.kind == "replace" and database_is_closed(session, replacement.new_name)
    if waits and replacement.new_oid in (0, database_oid(session, replacement.new_name)):
        try:
            with told(f"dropping {replacement.new_name}"):
                drop_database(server(settings), session, replacement.new_name)
        except PgkeeperError as error:
            if session.closed:
                raise
            log.error("restored database not dropped", database=replacement.new_name, error=str(error))
            return f"; {replacement.new_name} is still there, closed, and the next expiry drops it ({error})"
    return ""
