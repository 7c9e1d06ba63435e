"""What putting the cluster back to a moment would do, told beforehand."""

from datetime import UTC, datetime
from pathlib import Path

from pgkeeper.host.locks import exclusive
from pgkeeper.model.cluster_replacement import ClusterReplacement
from pgkeeper.model.progress import Progress
from pgkeeper.model.repository import RepositoryName, number_of
from pgkeeper.operations.asked_before import replaced_before
from pgkeeper.operations.done_cluster import planned_again
from pgkeeper.operations.interrupted_cluster import LOCK
from pgkeeper.operations.pitr import pgbackrest
from pgkeeper.operations.pitr_request import plan_wish, understand
from pgkeeper.operations.production import find_production, require_helpers
from pgkeeper.operations.recovery import size_of, target_told
from pgkeeper.operations.replace_beside import require_possible
from pgkeeper.operations.replace_cluster import ReplaceClusterRequest
from pgkeeper.operations.replace_in_place import cost_in_place, require_possible_in_place
from pgkeeper.operations.reports import Message
from pgkeeper.pgbackrest.restore import backup_tablespaces
from pgkeeper.settings import Settings


class ReplaceClusterPlan(Message):
    """What a replacement would do: production, whose files are in `data_directory`, would be recovered to `target`.

    `in_place`: these files would be written over.

    `running` is None, and so are `repository`, `timeline` (the one it would be recovered on), `size_bytes` (of what would be fetched) and
    `age_seconds` (of the moment, where it is a time), when the request was done before, or is at work.
    """

    in_place: bool = False
    target: str
    repository: RepositoryName | None = None
    backup: str
    timeline: int | None = None
    data_directory: Path
    running: bool | None = None
    would_change: bool
    reason: str
    size_bytes: int | None = None
    age_seconds: float | None = None
    warnings: tuple[str, ...] = ()


def plan_replace_cluster(request: ReplaceClusterRequest, settings: Settings, progress: Progress) -> ReplaceClusterPlan:
    """Return what `replace_cluster` would do now. Raises PgkeeperError where it would refuse at once; the confirmation may be missing.

    Writes nothing; but for a moment that has only just passed production ends the segment that it writes, and its log is waited for.
    """
    understood = understand(request.wish, settings)
    done, begun = replaced_before("replace", request.request_id, understood.in_words(), settings)
    if done is not None:
        would_change, reason = planned_again(done, settings)
        return _known(done, would_change=would_change, reason=reason)
    if begun is not None:
        return _known(begun, would_change=True, reason=f"{begun.replacement_id} is at work, or was interrupted and would be settled first")
    planned = plan_wish(understood, settings, progress, all_read=request.in_place)
    production = find_production(settings)
    locations = backup_tablespaces(pgbackrest(settings), number_of(request.wish.source), planned.plan.backup)
    with exclusive(settings.state_dir, LOCK, "a replacement of the cluster", request.wait):
        if request.in_place:
            require_possible_in_place(planned, production, locations.values(), settings)
        else:
            require_possible(planned, production, locations.values())
        require_helpers(settings)
    at = planned.plan.target.at
    kept = "what was written since would be kept beside" if production.there else "its files are lost, so nothing would be kept"
    kept = cost_in_place(production) if request.in_place else kept
    return ReplaceClusterPlan(
        in_place=request.in_place,
        target=target_told(planned),
        repository=request.wish.source,
        backup=planned.plan.backup,
        timeline=planned.plan.timeline,
        data_directory=production.data,
        running=production.running,
        would_change=True,
        reason=f"all databases in {production.data} would go back to {target_told(planned)}; {kept}",
        size_bytes=size_of(planned),
        age_seconds=(datetime.now(UTC) - at).total_seconds() if at is not None else None,
        warnings=planned.warnings,
    )


def _known(known: ClusterReplacement, *, would_change: bool, reason: str) -> ReplaceClusterPlan:
    return ReplaceClusterPlan(
        in_place=known.in_place,
        target=known.target,
        backup=known.backup,
        data_directory=Path(known.data_directory),
        would_change=would_change,
        reason=reason,
    )
