"""Drop databases that were replaced, when their time is over: the way back is kept as long as local backups are.

And those that never took another's place, and could not be dropped when that was given up.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from pgkeeper.host.logs import log
from pgkeeper.model.errors import BusyError, PgkeeperError
from pgkeeper.model.replacement import Replacement
from pgkeeper.operations.only_restore import restore_lock
from pgkeeper.operations.places import server
from pgkeeper.operations.replacements import replacements
from pgkeeper.operations.reports import Message
from pgkeeper.postgres.facts import identify
from pgkeeper.postgres.new_database import database_is_closed, database_oid, drop_database
from pgkeeper.postgres.server import Session, told
from pgkeeper.settings import Settings


class ReplacedExpiry(Message):
    """What became of replaced databases: those `dropped` (or that would be), and what could not be dropped."""

    dropped: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def expire_replaced(settings: Settings, now: datetime, *, dry_run: bool) -> ReplacedExpiry:
    """Drop the databases that replacements put aside longer than `local_retention_days` ago, and what is left of those that were given up.

    A database goes only if it is the very one (by OID), still carries the name it was put aside under, and is closed: one that somebody
    opened or renamed is somebody's again. Without a server, nothing happens.
    """
    old = [each for known in replacements(settings) if (each := _superfluous(known, now, timedelta(days=settings.retention.days)))]
    if not old:
        return ReplacedExpiry()
    dropped: list[str] = []
    problems: list[str] = []
    try:
        with server(settings).connect_maintenance() as session, told("looking for replaced databases"):
            cluster = identify(session)
            for known in old:
                if cluster.system_identifier != known.system_identifier or not _is_there(session, known):
                    continue
                try:
                    if not dry_run:
                        with restore_lock(settings, cluster), told(f"dropping {known.name}"):
                            drop_database(server(settings), session, known.name)
                        log.info("replaced database expired", database=known.name, replacement_id=known.replacement_id)
                    dropped.append(known.name)
                except BusyError:
                    continue
                except PgkeeperError as error:
                    problems.append(f"the replaced database {known.name} was not dropped: {error}")
    except PgkeeperError as error:
        problems.append(f"replaced databases were not looked at: {error}")
    for problem in problems:
        log.error("replaced database not expired", error=problem)
    return ReplacedExpiry(dropped=tuple(dropped), problems=tuple(problems))


@dataclass(frozen=True)
class _Superfluous:
    """A database that nobody needs any more, where it is still there: closed, and with this name and OID (0: not known any more)."""

    replacement_id: str
    system_identifier: str
    oid: int
    name: str


def _superfluous(known: Replacement, now: datetime, age: timedelta) -> _Superfluous | None:
    """Return what a replacement has left that may go now."""
    if known.kind == "replace" and known.step == "undone":
        return _Superfluous(known.replacement_id, known.system_identifier, known.new_oid, known.new_name)
    if known.kind == "replace" and known.step == "done" and now - known.begun_at > age:
        return _Superfluous(known.replacement_id, known.system_identifier, known.old_oid, known.old_name)
    return None


def _is_there(session: Session, known: _Superfluous) -> bool:
    return database_is_closed(session, known.name) and known.oid in (0, database_oid(session, known.name))
