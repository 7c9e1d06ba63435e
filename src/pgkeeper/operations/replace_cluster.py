"""Recover the whole cluster to a moment, and put it in the place of production's: beside first, or in place where there is no room."""

import time
from datetime import UTC, datetime, timedelta

from pgkeeper.host.locks import exclusive
from pgkeeper.host.logs import log
from pgkeeper.model.errors import RefusedError
from pgkeeper.model.progress import Progress
from pgkeeper.model.replacement import CONFIRMATION
from pgkeeper.operations.asked_before import replaced_before
from pgkeeper.operations.done_cluster import done_again
from pgkeeper.operations.interrupted_cluster import LOCK
from pgkeeper.operations.pitr_request import Planned, RecoveryWish, plan_wish, understand
from pgkeeper.operations.production import Production, Replacing, find_production, require_helpers
from pgkeeper.operations.recovery import target_told
from pgkeeper.operations.replace_beside import ReplaceBeside
from pgkeeper.operations.replace_cluster_report import ReplaceClusterReport, finished
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
        understood = understand(request.wish, settings)
        asked = understood.in_words()
        before, _ = replaced_before("replace", request.request_id, asked, settings)
        if before is not None:
            return done_again(before, settings, progress)
        planned = plan_wish(understood, settings, progress, all_read=request.in_place)
        production = find_production(settings)
        _require_confirmed(request, planned, production)
        require_helpers(settings)
        down = tuple(one for one in settled if one.down)
        replacing = Replacing(planned, production, settings, progress, datetime.now(UTC), asked, request.request_id, down)
        way = ReplaceInPlace(replacing) if request.in_place else ReplaceBeside(replacing)
        known, exchanged = way.run()
        log.info("cluster replaced", target=known.target, downtime_seconds=exchanged.downtime_seconds, kept_as=known.kept_as)
        return finished(
            known, exchanged, settings, progress, began,
            recovered_from=known.backup, repository=request.wish.source,
            seen=way.seen, phases=way.recovery.phases, warnings=way.recovery.warnings,
        )  # fmt: skip


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
