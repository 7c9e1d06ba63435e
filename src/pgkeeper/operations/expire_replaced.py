"""Drop databases that were replaced, when their time is over: the way back is kept as long as local backups are."""

from datetime import datetime, timedelta

from pgkeeper.host.logs import log
from pgkeeper.model.errors import BusyError, PgkeeperError
from pgkeeper.model.replacement import Replacement
from pgkeeper.operations.only_restore import restore_lock
from pgkeeper.operations.places import server
from pgkeeper.operations.replacements import replacements
from pgkeeper.operations.reports import Message
from pgkeeper.postgres.facts import identify
from pgkeeper.postgres.new_database import drop_database
from pgkeeper.postgres.server import Session, told
from pgkeeper.settings import Settings


class ReplacedExpiry(Message):
    """What became of replaced databases: those `dropped` (or that would be), and what could not be dropped."""

    dropped: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def expire_replaced(settings: Settings, now: datetime, *, dry_run: bool) -> ReplacedExpiry:
    """Drop the databases that replacements put aside longer than `local_retention_days` ago.

    A database goes only if it is the very one (by OID), still carries the name it was put aside under, and is closed: one that somebody
    opened or renamed is somebody's again. Without a server, nothing happens.
    """
    old = [known for known in replacements(settings) if _is_over(known, now, timedelta(days=settings.retention.days))]
    if not old:
        return ReplacedExpiry()
    dropped: list[str] = []
    problems: list[str] = []
    try:
        with server(settings).connect_maintenance() as session, told("looking for replaced databases"):
            cluster = identify(session)
            for known in old:
                if cluster.system_identifier != known.system_identifier or not _is_aside(session, known):
                    continue
                try:
                    if not dry_run:
                        with restore_lock(settings, cluster), told(f"dropping {known.old_name}"):
                            drop_database(server(settings), session, known.old_name)
                        log.info("replaced database expired", database=known.old_name, replacement_id=known.replacement_id)
                    dropped.append(known.old_name)
                except BusyError:
                    continue
                except PgkeeperError as error:
                    problems.append(f"the replaced database {known.old_name} was not dropped: {error}")
    except PgkeeperError as error:
        problems.append(f"replaced databases were not looked at: {error}")
    for problem in problems:
        log.error("replaced database not expired", error=problem)
    return ReplacedExpiry(dropped=tuple(dropped), problems=tuple(problems))


def _is_over(known: Replacement, now: datetime, age: timedelta) -> bool:
    return known.kind == "replace" and known.step == "done" and now - known.begun_at > age


def _is_aside(session: Session, known: Replacement) -> bool:
    row = session.execute(
        "SELECT FROM pg_database WHERE oid = %s AND datname = %s AND NOT datallowconn", (known.old_oid, known.old_name)
    ).fetchone()
    return row is not None
