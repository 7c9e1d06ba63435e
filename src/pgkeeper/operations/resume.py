"""Settle what interrupted replacements left, because somebody asks for it or before anything else is done."""

from datetime import timedelta

from pgkeeper.host.logs import log
from pgkeeper.model.errors import BusyError, PgkeeperError
from pgkeeper.model.progress import Progress
from pgkeeper.operations.only_restore import restore_lock
from pgkeeper.operations.places import server
from pgkeeper.operations.replacements import replacements
from pgkeeper.operations.reports import Message
from pgkeeper.operations.settle import settle
from pgkeeper.postgres.facts import identify
from pgkeeper.postgres.server import told
from pgkeeper.settings import Settings


class ResumeReport(Message):
    """What was settled, a line each; nothing when there was nothing."""

    settled: tuple[str, ...] = ()


def resume(settings: Settings, progress: Progress, wait: timedelta = timedelta()) -> ResumeReport:
    """Finish or undo every replacement that was interrupted. Raises BusyError while one is at work, PgkeeperError when that fails."""
    if all(known.finished for known in replacements(settings)):
        return ResumeReport()
    with server(settings).connect_maintenance() as session, told("resuming"):
        cluster = identify(session)
    with restore_lock(settings, cluster, wait):
        return ResumeReport(settled=tuple(settle(settings, progress)))


def resume_first(settings: Settings, progress: Progress) -> None:
    """Settle what interrupted replacements left before other work begins, which goes on whatever comes of it."""
    try:
        for said in resume(settings, progress).settled:
            progress.note(said)
    except BusyError:
        pass
    except PgkeeperError as error:
        log.error("a replacement could not be settled", error=str(error))
        progress.note(f"an interrupted replacement could not be settled: {error}")
