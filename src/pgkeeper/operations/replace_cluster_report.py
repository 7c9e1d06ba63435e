"""What replacing the cluster, or undoing that, came to; the last step of both is a full backup of what production is now."""

import time
from collections.abc import Collection
from datetime import UTC, datetime

from pydantic import Field

from pgkeeper.model.cluster_replacement import ClusterReplacement
from pgkeeper.model.errors import PgkeeperError
from pgkeeper.model.progress import Progress
from pgkeeper.model.repository import RepositoryName
from pgkeeper.operations.cluster_exchange import Exchanged
from pgkeeper.operations.pitr_backup import PitrBackupRequest, pitr_backup
from pgkeeper.operations.recovered_pages import PagesSeen
from pgkeeper.operations.reports import Message
from pgkeeper.settings import Settings


class ReplaceClusterReport(Message):
    """What was done. `kept_as` holds production's files as they were; `downtime_seconds` is how long production was down.

    `in_place`: its files were written over, and `kept_as` is empty.

    `timeline` is the one production is on now. `archived` is False where its log does not arrive in the repository, for `archive_problem`;
    `backup` is the full backup that was made afterwards, None where that failed. `unchecked` are databases whose pages could not be looked
    into; `tables_read` is how many tables were asked for a first row, in all databases, 0 for an undo. `changed` is False when the request
    was done before; `archived` is then how archiving stands now, and `backup` the newest since.
    """

    replacement_id: str
    in_place: bool = False
    target: str
    repository: RepositoryName | None = None
    recovered_from: str
    timeline: int
    kept_as: str
    changed: bool = True
    replaced_at: datetime
    downtime_seconds: float
    seconds: float
    archived: bool
    archive_problem: str = ""
    backup: str | None = None
    unchecked: tuple[str, ...] = ()
    tables_read: int = 0
    phases: dict[str, float] = Field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    request_id: str | None = None

    @property
    def exit_status(self) -> int:
        """Return 1 where production runs, but cannot be recovered again: its log is not archived, or there is no backup to go with it."""
        return int(not (self.archived and self.backup))


def finished(  # noqa: PLR0913 - what the journal, the exchange and the recovery know
    known: ClusterReplacement,
    exchanged: Exchanged,
    settings: Settings,
    progress: Progress,
    began: float,
    *,
    recovered_from: str,
    repository: RepositoryName | None = None,
    seen: PagesSeen | None = None,
    phases: dict[str, float] | None = None,
    warnings: Collection[str] = (),
) -> ReplaceClusterReport:
    """Make the full backup with which recoveries on the new timeline begin, and return the report.

    Without one, for whatever reason, the work is done all the same, and the report warns. `began` is when it began, by `time.monotonic`.
    """
    label, missing = full_backup(settings, progress)
    return ReplaceClusterReport(
        replacement_id=known.replacement_id,
        in_place=known.in_place,
        target=known.target,
        repository=repository,
        recovered_from=recovered_from,
        timeline=known.timeline,
        kept_as=known.kept_as,
        replaced_at=datetime.now(UTC),
        downtime_seconds=exchanged.downtime_seconds,
        seconds=round(time.monotonic() - began, 3),
        archived=exchanged.archived.arrived,
        archive_problem=exchanged.archived.problem,
        backup=label,
        unchecked=seen.unchecked if seen else (),
        tables_read=seen.tables_read if seen else 0,
        phases=phases or {},
        warnings=(*warnings, *missing),
        request_id=known.request_id,
    )


def full_backup(settings: Settings, progress: Progress) -> tuple[str | None, tuple[str, ...]]:
    """Make a full backup in each repository; return a label, and warnings, of what went wrong as well."""
    try:
        report = pitr_backup(PitrBackupRequest(kind="full"), settings, progress)
    except PgkeeperError as error:
        return None, (f"there is no full backup yet: {error}",)
    labels = [outcome.backup.label for outcome in report.outcomes if outcome.backup]
    problems = [f"there is no full backup yet in {outcome.repository}: {outcome.error}" for outcome in report.outcomes if outcome.error]
    return (labels[0] if labels else None), (*report.warnings, *problems)
