"""What undoing the last replacement of the cluster would do, told beforehand."""

from datetime import UTC, datetime
from pathlib import Path

from pgkeeper.host.locks import exclusive
from pgkeeper.model.cluster_replacement import ClusterReplacement
from pgkeeper.operations.asked_before import replaced_before
from pgkeeper.operations.done_cluster import planned_again
from pgkeeper.operations.interrupted_cluster import LOCK
from pgkeeper.operations.production import require_helpers
from pgkeeper.operations.reports import Message
from pgkeeper.operations.undo_cluster import UndoClusterRequest, last_replacement
from pgkeeper.settings import Settings


class UndoClusterPlan(Message):
    """What undoing would do: the files in `returning` would be production's again, in `data_directory`.

    `replaced_at` and `age_seconds` tell since when something may have been written that would be put aside. When the request was done
    before, or is at work, all speak of that undoing itself: `undone` is its id, and `returning` is empty.
    """

    undone: str
    data_directory: Path
    returning: str
    would_change: bool
    reason: str
    replaced_at: datetime
    age_seconds: float


def plan_undo_cluster(request: UndoClusterRequest, settings: Settings) -> UndoClusterPlan:
    """Return what `undo_cluster` would do now. Changes nothing.

    Raises PgkeeperError where it would refuse at once; the confirmation may be missing.
    """
    done, begun = replaced_before("undo", request.request_id, "", settings)
    if done is not None:
        would_change, reason = planned_again(done, settings)
        return _told(done, would_change=would_change, reason=reason)
    if begun is not None:
        return _told(begun, would_change=True, reason=f"{begun.replacement_id} is at work, or was interrupted and would be settled first")
    last = last_replacement(settings)
    with exclusive(settings.state_dir, LOCK, "a replacement of the cluster", request.wait):
        require_helpers(settings)
    at = f"{last.changed_at:%Y-%m-%d %H:%M:%S} UTC"
    return _told(last, would_change=True, reason=f"production would be as it was at {at}; what was written since would be kept beside")


def _told(known: ClusterReplacement, *, would_change: bool, reason: str) -> UndoClusterPlan:
    return UndoClusterPlan(
        undone=known.replacement_id,
        data_directory=Path(known.data_directory),
        returning=known.kept_as if known.kind == "replace" else "",
        would_change=would_change,
        reason=reason,
        replaced_at=known.changed_at,
        age_seconds=(datetime.now(UTC) - known.changed_at).total_seconds(),
    )
