"""Settle what interrupted replacements left, because somebody asks for it or before anything else is done."""

from datetime import timedelta

from pgkeeper.host.logs import log
from pgkeeper.model.errors import BusyError, OperationFailed, PgkeeperError
from pgkeeper.model.progress import Progress
from pgkeeper.model.replacement import Replacement
from pgkeeper.operations.only_restore import restore_lock
from pgkeeper.operations.places import cluster_reached
from pgkeeper.operations.replacements import replacements
from pgkeeper.operations.reports import Message
from pgkeeper.operations.settle import settle
from pgkeeper.settings import Settings


class ResumeReport(Message):
    """What was settled, a line each; nothing when there was nothing."""

    settled: tuple[str, ...] = ()


def resume(settings: Settings, progress: Progress, wait: timedelta = timedelta()) -> ResumeReport:
    """Finish or undo every replacement on this server that was interrupted.

    Raises BusyError while one is at work, OperationFailed when there are only such on other servers, PgkeeperError when settling fails.
    """
    if not _unfinished(settings):
        return ResumeReport()
    cluster = cluster_reached(settings)
    with restore_lock(settings, cluster, wait):
        settled = settle(settings, cluster, progress)
    elsewhere = [known for known in _unfinished(settings) if known.system_identifier != cluster.system_identifier]
    if elsewhere and not settled:
        raise OperationFailed(
            f"{elsewhere[0].replacement_id} was begun on another server",
            f"system identifier {elsewhere[0].system_identifier}",
            "set PGHOST and PGPORT to that one",
        )
    return ResumeReport(settled=tuple(settled))


def resume_first(settings: Settings, progress: Progress) -> None:
    """Settle what interrupted replacements left on this server before other work begins, which goes on whatever comes of it."""
    try:
        if not _unfinished(settings):
            return
        cluster = cluster_reached(settings)
        with restore_lock(settings, cluster):
            for said in settle(settings, cluster, progress):
                progress.note(said)
    except BusyError:
        pass
    except PgkeeperError as error:
        log.error("a replacement could not be settled", error=str(error))
        progress.note(f"an interrupted replacement could not be settled: {error}")


def _unfinished(settings: Settings) -> list[Replacement]:
    return [known for known in replacements(settings) if not known.finished]
