"""Settle what an interrupted replacement of the cluster left, because somebody asks for it."""

from pgkeeper.host.locks import exclusive
from pgkeeper.model.progress import Progress
from pgkeeper.operations.interrupted_cluster import LOCK
from pgkeeper.operations.pitr import require_pitr
from pgkeeper.operations.resume import ResumeReport
from pgkeeper.operations.settle_cluster import require_up, settle_clusters
from pgkeeper.settings import Settings


def resume_cluster(settings: Settings, progress: Progress) -> ResumeReport:
    """Finish or undo every replacement of the cluster that was interrupted.

    Raises BusyError while one is at work, and PgkeeperError when settling fails, or production stays down.
    """
    require_pitr(settings)
    with exclusive(settings.state_dir, LOCK, "a replacement of the cluster"):
        settled = settle_clusters(settings, progress)
    require_up(settled)
    return ResumeReport(settled=tuple(one.said for one in settled))
