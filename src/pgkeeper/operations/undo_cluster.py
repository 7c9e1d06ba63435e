"""Undo the last replacement of the cluster: production gets its files back, and keeps what was written since.

The old files lie on the timeline that was left; later recoveries would follow the other one, or die. So they are started beside, through
archive recovery, to the end of their own timeline, and take a new one above all that are archived.
"""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pgkeeper.host.locks import exclusive
from pgkeeper.host.logs import log
from pgkeeper.model.cluster_replacement import ClusterReplacement
from pgkeeper.model.errors import OperationFailed, RefusedError, UsageError
from pgkeeper.model.exchange import Place, exchange, kept_directory, kept_tablespace
from pgkeeper.model.progress import Progress
from pgkeeper.model.replacement import CONFIRMATION
from pgkeeper.operations.asked_before import replaced_before
from pgkeeper.operations.cluster_exchange import exchange_recovered
from pgkeeper.operations.cluster_replacements import ClusterJournal, cluster_replacements
from pgkeeper.operations.done_cluster import done_again
from pgkeeper.operations.fit_for_production import prepare_for_production
from pgkeeper.operations.interrupted_cluster import LOCK
from pgkeeper.operations.pitr import pgbackrest
from pgkeeper.operations.production import require_helpers
from pgkeeper.operations.replace_beside import tablespace_place
from pgkeeper.operations.replace_cluster_report import ReplaceClusterReport, finished
from pgkeeper.operations.reports import Message
from pgkeeper.operations.settle_cluster import require_up, settle_clusters
from pgkeeper.pgbackrest.restore import restore_command
from pgkeeper.postgres.data_directory import control_facts, link_tablespaces, major_of, tablespace_links, tablespace_version_directory
from pgkeeper.postgres.side_cluster import SideCluster
from pgkeeper.settings import Settings

_STAMP = "%Y%m%dT%H%M%SZ"


class UndoClusterRequest(Message):
    """`confirmation` must be the word RESTORE. With a `request_id` it is done once for all."""

    confirmation: str = ""
    request_id: str | None = None
    wait: timedelta = timedelta()


def undo_cluster(request: UndoClusterRequest, settings: Settings, progress: Progress) -> ReplaceClusterReport:
    """Put production's files of before the last replacement back; what was written since is kept beside.

    Raises UsageError when there is nothing to undo, RefusedError without the confirmation or where the old files are gone. Whatever goes
    wrong, production runs again as it did.
    """
    began = time.monotonic()
    with exclusive(settings.state_dir, LOCK, "a replacement of the cluster", request.wait):
        settled = settle_clusters(settings, progress)
        for one in settled:
            progress.note(one.said)
        require_up(settled)
        before, _ = replaced_before("undo", request.request_id, "", settings)
        if before is not None:
            return done_again(before, settings, progress)
        last = last_replacement(settings)
        if request.confirmation != CONFIRMATION:
            raise RefusedError(
                "the replacement of the cluster was not undone",
                f"production would be as it was at {last.changed_at:%Y-%m-%d %H:%M:%S} UTC; what was written since would be put aside",
                f"confirm with --confirm {CONFIRMATION}",
            )
        require_helpers(settings)
        return _undo(last, request, settings, progress, began)


def last_replacement(settings: Settings) -> ClusterReplacement:
    """Return the replacement that would be undone. Raises UsageError when there is none, RefusedError when its files are gone."""
    done = [known for known in cluster_replacements(settings) if known.step == "done"]
    if not done or done[0].kind == "undo":
        raise UsageError("there is no replacement of the cluster to undo", "", "`pgkeeper pitr restore --replace` makes one")
    if done[0].in_place:
        raise RefusedError(
            "the replacement cannot be undone",
            "it was made in place, so the files of before are gone",
            "their log is archived: recover to a later moment of the timeline that was left, --timeline, instead",
        )
    if not done[0].kept_as or not Path(done[0].kept_as).is_dir():
        raise RefusedError("the replacement cannot be undone", f"the files of before, {done[0].kept_as or 'lost then'}, are gone")
    return done[0]


def _undo(
    last: ClusterReplacement, request: UndoClusterRequest, settings: Settings, progress: Progress, began: float
) -> ReplaceClusterReport:
    at = datetime.now(UTC)
    stamp = at.strftime(_STAMP)
    old = Path(last.kept_as)
    side = SideCluster(settings.pitr_dir / f"undo-{stamp}", old)
    side.require_usable()
    journal = ClusterJournal.begin(
        settings, at,
        kind="undo", system_identifier=last.system_identifier, data_directory=last.data_directory,
        kept_as=kept_directory(last.data_directory, stamp, "after"), target=f"its state before {last.replacement_id}",
        coming=(str(side.directory),), recovering=str(old), backup=last.backup, request_id=request.request_id,
    )  # fmt: skip
    known, exchanged = exchange_recovered(journal, lambda: _recover(last, side, stamp, journal, settings, progress), settings, progress)
    log.info("replacement of the cluster undone", undone=last.replacement_id, downtime_seconds=exchanged.downtime_seconds)
    return finished(known, exchanged, settings, progress, began, recovered_from=last.kept_as)


def _recover(
    last: ClusterReplacement, side: SideCluster, stamp: str, journal: ClusterJournal, settings: Settings, progress: Progress
) -> None:
    """Bring the old files to the end of their own timeline, and onto a new one; note how they are exchanged for production's."""
    side.directory.mkdir(mode=0o700, parents=True)
    locations = {oid: Path(location) for oid, location in last.tablespaces.items()}
    kept = {move.source: Path(move.target) for move in last.moves}
    major = major_of(side.data)
    own: dict[int, Path] = {}
    places = []
    # Those that only the other cluster has stay where they are.
    for oid, location in ((oid, location) for oid, location in locations.items() if oid in tablespace_links(side.data)):
        # What lies in the location now is the other cluster's.
        moved = next((target for source, target in kept.items() if Path(source).parent == location), None)
        inside = tablespace_version_directory(moved.parent, major) if moved else None
        if moved is None or inside is None:
            raise RefusedError("the replacement cannot be undone", f"the files of before of the tablespace in {location} are gone")
        own[oid] = moved.parent
        places.append(tablespace_place(location, inside, kept_tablespace(str(location), stamp, "after")))
    link_tablespaces(side.data, own)
    timeline = control_facts(side.data).timeline
    progress.phase(f"bring the old files to the end of timeline {timeline}")
    side.configure(
        {
            "restore_command": restore_command(pgbackrest(settings), 1, side.data),
            "recovery_target_timeline": str(timeline),
            "recovery_target_action": "promote",
        }
    )
    found = side.recover(lambda segment: progress.note(f"replaying segment {segment}") if segment else None, _made)
    side.stop()
    prepare_for_production(side, found.timeline)
    data = Place(used=last.data_directory, coming=str(side.data), kept=kept_directory(last.data_directory, stamp, "after"))
    journal.note(
        "recovered",
        moves=exchange(data, places),
        timeline=found.timeline,
        tablespaces={oid: str(locations[oid]) for oid in own},
    )


def _made(location: Path) -> Path:
    # A server that was shut down has nothing of the kind to replay.
    raise OperationFailed("the files of before cannot be brought up", f"their log makes a tablespace in {location}")
