"""What undoing a replacement would do, told beforehand."""

from datetime import UTC, datetime

from pgkeeper.operations.change_over import require_free
from pgkeeper.operations.places import cluster_reached, outside_session
from pgkeeper.operations.reports import Message
from pgkeeper.operations.undo_request import UndoRequest, done_before, last_replacement, require_confirmed, require_undoable, undone_by
from pgkeeper.postgres.facts import database_size
from pgkeeper.postgres.server import told
from pgkeeper.postgres.swap import name_of
from pgkeeper.settings import Settings


class UndoPlan(Message):
    """What undoing would do: `returning` would be called `database` again. Sizes in bytes: of it, and of what is there now.

    `replaced_at` and `age_seconds` tell since when something may have been written that would be put aside.
    """

    undone: str
    database: str
    returning: str
    would_change: bool
    reason: str
    size_bytes: int
    size_now_bytes: int
    replaced_at: datetime
    age_seconds: float


def plan_undo(request: UndoRequest, settings: Settings) -> UndoPlan:
    """Return what `undo` would do now. Changes nothing. Raises PgkeeperError where `undo` would refuse at once."""
    cluster = cluster_reached(settings)
    before = done_before(request, cluster, settings)
    known = undone_by(before, cluster, settings) if before else last_replacement(request.database, cluster, settings)
    with outside_session(settings, known.database) as session, told("planning the undoing"):
        if before is None:
            require_undoable(session, known)
            require_confirmed(request, known)
            require_free(session, known.database)
        returning = known.database if before else name_of(session, known.old_oid)
        reason = f"database {returning} would be called {known.database} again"
        if before is not None:
            reason = f"done before, as {before.replacement_id}; database {known.database} may have changed since"
        return UndoPlan(
            undone=known.replacement_id,
            database=known.database,
            returning=returning,
            would_change=before is None,
            reason=reason,
            size_bytes=database_size(session, returning) or 0,
            size_now_bytes=database_size(session, known.database) or 0,
            replaced_at=known.begun_at,
            age_seconds=(datetime.now(UTC) - known.begun_at).total_seconds(),
        )
