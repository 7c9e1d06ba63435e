"""Drop databases that were replaced, when their time is over: the way back is kept as long as local backups are."""

from datetime import datetime, timedelta

from pgkeeper.host.locks import exclusive
from pgkeeper.host.logs import log
from pgkeeper.model.errors import BusyError, PgkeeperError
from pgkeeper.model.replacement import Replacement
from pgkeeper.operations.places import outside_session, server
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
    dropped: list[str] = []
    problems: list[str] = []
    for known in old:
        try:
            with outside_session(settings, known.old_name) as session, told(f"looking at {known.old_name}"):
                cluster = identify(session)
                if cluster.system_identifier != known.system_identifier or not _is_aside(session, known):
                    continue
                if not dry_run:
                    with exclusive(settings.state_dir, f"restore {cluster.label}", "a restore"):
                        drop_database(server(settings), session, known.old_name)
                    log.info("replaced database expired", database=known.old_name, replacement_id=known.replacement_id)
                dropped.append(known.old_name)
        except BusyError:
            continue
        except PgkeeperError as error:
            problems.append(f"the replaced database {known.old_name} was not dropped: {error}")
            log.error("replaced database not expired", database=known.old_name, error=str(error))
    return ReplacedExpiry(dropped=tuple(dropped), problems=tuple(problems))


def _is_over(known: Replacement, now: datetime, age: timedelta) -> bool:
    return known.kind == "replace" and known.step == "done" and now - known.begun_at > age


def _is_aside(session: Session, known: Replacement) -> bool:
    row = session.execute(
        "SELECT FROM pg_database WHERE oid = %s AND datname = %s AND NOT datallowconn", (known.old_oid, known.old_name)
    ).fetchone()
    return row is not None
