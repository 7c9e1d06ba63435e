"""Recover the whole cluster to a moment, and put it in the place of production's: beside first, or in place where there is no room."""

import time
from datetime import UTC, datetime, timedelta

from pydantic import Field

from pgkeeper.host.locks import exclusive
from pgkeeper.host.logs import log
from pgkeeper.model.cluster_replacement import ClusterReplacement
from pgkeeper.model.errors import PgkeeperError, RefusedError
from pgkeeper.model.progress import Progress
from pgkeeper.model.replacement import CONFIRMATION
from pgkeeper.model.repository import RepositoryName
from pgkeeper.operations.asked_before import asked_for, replaced_before
from pgkeeper.operations.interrupted_cluster import LOCK
from pgkeeper.operations.pitr_backup import PitrBackupRequest, pitr_backup
from pgkeeper.operations.pitr_request import Planned, RecoveryWish, plan_wish
from pgkeeper.operations.production import Production, Replacing, find_production, require_helpers
from pgkeeper.operations.recovery import target_told
from pgkeeper.operations.replace_beside import ReplaceBeside
from pgkeeper.operations.replace_in_place import ReplaceInPlace, cost_in_place
from pgkeeper.operations.reports import Message
from pgkeeper.operations.settle_cluster import settle_clusters
from pgkeeper.settings import Settings


class ReplaceClusterRequest(Message):
    """To which moment production goes back. `confirmation` must be the word RESTORE. With a `request_id` it is done once for all.

    `in_place` writes over production's files, for want of room beside them.
    """

    wish: RecoveryWish
    in_place: bool = False
    confirmation: str = ""
    request_id: str | None = None
    wait: timedelta = timedelta()


class ReplaceClusterReport(Message):
    """What was done. `kept_as` holds production's files as they were; `downtime_seconds` is how long production was down.

    `in_place`: its files were written over, and `kept_as` is empty.

    `timeline` is the one production is on now. `archived` is False where its log does not arrive in the repository, for `archive_problem`;
    `backup` is the full backup that was made afterwards, None where that failed. `unchecked` are databases whose pages could not be looked
    into. `changed` is False when the request was done before.
    """

    replacement_id: str
    in_place: bool = False
    target: str
    repository: RepositoryName | None
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
    phases: dict[str, float] = Field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    request_id: str | None = None

    @property
    def exit_status(self) -> int:
        """Return 1 where production runs, but cannot be recovered again: its log is not archived, or there is no backup to go with it."""
        return int(self.changed and not (self.archived and self.backup))


def replace_cluster(request: ReplaceClusterRequest, settings: Settings, progress: Progress) -> ReplaceClusterReport:
    """Put production back to a moment, and keep its files as they are beside.

    Raises PgkeeperError: RefusedError without the confirmation, or where it can't be done safely. Whatever goes wrong, production runs
    again as it did, unless the message says otherwise.
    """
    began = time.monotonic()
    with exclusive(settings.state_dir, LOCK, "a replacement of the cluster", request.wait):
        settled = settle_clusters(settings, progress)
        for one in settled:
            progress.note(one.said)
        asked = asked_for(request.wish)
        before, _ = replaced_before("replace", request.request_id, asked, settings)
        if before is not None:
            return as_before(before)
        planned = plan_wish(request.wish, settings, progress)
        production = find_production(settings)
        _require_confirmed(request, planned, production)
        require_helpers(settings)
        down = tuple(one for one in settled if one.down)
        replacing = Replacing(planned, production, settings, progress, datetime.now(UTC), asked, request.request_id, down)
        way = ReplaceInPlace(replacing) if request.in_place else ReplaceBeside(replacing)
        known, exchanged = way.run()
        log.info("cluster replaced", target=known.target, downtime_seconds=exchanged.downtime_seconds, kept_as=known.kept_as)
        label, warnings = back_up(settings, progress)
        return ReplaceClusterReport(
            replacement_id=known.replacement_id,
            in_place=known.in_place,
            target=known.target,
            repository=request.wish.source,
            recovered_from=known.backup,
            timeline=known.timeline,
            kept_as=known.kept_as,
            replaced_at=datetime.now(UTC),
            downtime_seconds=exchanged.downtime_seconds,
            seconds=round(time.monotonic() - began, 3),
            archived=exchanged.archived.arrived,
            archive_problem=exchanged.archived.problem,
            backup=label,
            unchecked=way.unchecked,
            phases=way.recovery.phases,
            warnings=(*way.recovery.warnings, *warnings),
            request_id=request.request_id,
        )


def back_up(settings: Settings, progress: Progress) -> tuple[str | None, tuple[str, ...]]:
    """Make a full backup, with which recoveries on the new timeline begin; return its label, and warnings, of what goes wrong as well."""
    try:
        report = pitr_backup(PitrBackupRequest(kind="full"), settings, progress)
    except PgkeeperError as error:
        return None, (f"there is no full backup yet: {error}",)
    labels = [outcome.backup.label for outcome in report.outcomes if outcome.backup]
    problems = [f"there is no full backup yet in {outcome.repository}: {outcome.error}" for outcome in report.outcomes if outcome.error]
    return (labels[0] if labels else None), (*report.warnings, *problems)


def as_before(known: ClusterReplacement) -> ReplaceClusterReport:
    """Return what is known of a replacement that was done before."""
    return ReplaceClusterReport(
        replacement_id=known.replacement_id,
        in_place=known.in_place,
        target=known.target,
        repository=None,
        recovered_from=known.backup,
        timeline=known.timeline,
        kept_as=known.kept_as,
        changed=False,
        replaced_at=known.changed_at,
        downtime_seconds=0.0,
        seconds=0.0,
        archived=True,
        warnings=("this request was done before; production may have changed since",),
        request_id=known.request_id,
    )


def _require_confirmed(request: ReplaceClusterRequest, planned: Planned, production: Production) -> None:
    if request.confirmation == CONFIRMATION:
        return
    aside = f"what was written since would be put aside with {production.data}"
    cost = cost_in_place(production) if request.in_place else aside
    raise RefusedError(
        "the cluster was not replaced",
        f"all its databases would go back to {target_told(planned)}; {cost}",
        f"confirm with --confirm {CONFIRMATION}",
    )
