"""Name a moment, so that it can be recovered to: before a migration, before an import."""

from datetime import timedelta

from pgkeeper.host.locks import exclusive
from pgkeeper.host.logs import log
from pgkeeper.model.errors import OperationFailed
from pgkeeper.model.restore_point import Mark
from pgkeeper.model.wal import Segment
from pgkeeper.operations.pitr import require_pitr
from pgkeeper.operations.pitr_archiving import archiving_of
from pgkeeper.operations.pitr_marks import add_mark, read_marks
from pgkeeper.operations.places import server
from pgkeeper.operations.reports import Message
from pgkeeper.postgres.archiver import archiver_state, create_restore_point, end_segment
from pgkeeper.postgres.server import require_superuser, told
from pgkeeper.settings import Settings

_WAIT = timedelta(seconds=30)


class MarkReport(Message):
    """The mark that was made. It can be recovered to when `segment` is archived; `warnings` say why that may never be."""

    mark: Mark
    segment: str
    warnings: tuple[str, ...] = ()


def mark(name: str, settings: Settings) -> MarkReport:
    """Write a restore point into the log, write it down, and end the segment so that it is archived soon.

    Raises UsageError (exit status 2) for a name that can't be one, RefusedError (exit status 6) for one that is taken and on a standby.
    Killed before it was written down, the name is in the log alone: made again, the later one is what it stands for.
    """
    require_pitr(settings)
    with exclusive(settings.state_dir, "pitr marks", "another mark", _WAIT, "try again"):
        read_marks(settings).require_free(name)
        with server(settings).connect_maintenance() as session, told("making a mark"):
            require_superuser(session)
            state = archiver_state(session)
            made = create_restore_point(session, name)
            found = Mark(name=name, lsn=made.lsn, timeline=Segment.parse(made.segment, state.segment_bytes).timeline, at=made.at)
            try:
                add_mark(settings, found)
            except OSError as error:
                hint = "free some space; the log has the mark all the same, but nobody will look it up"
                raise OperationFailed(f"mark {name} could not be written down", error.strerror or "", hint) from error
            log.info("mark made", name=name, lsn=found.lsn, timeline=found.timeline)
            # The switch makes what was marked archivable at once; without it that waits for archive_timeout.
            end_segment(session, "pgkeeper pitr mark")
            archiving = archiving_of(state, settings)
    warnings = (f"it cannot be recovered to as long as that lasts: {archiving.problem}",) if archiving.problem else ()
    return MarkReport(mark=found, segment=made.segment, warnings=warnings)
