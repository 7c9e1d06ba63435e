"""What replacing a database by a backup of it would do, told beforehand."""

from datetime import UTC, datetime

from pgkeeper.operations.change_over import require_free
from pgkeeper.operations.places import outside_session
from pgkeeper.operations.replace_request import ReplaceRequest, backup_of, chosen_backup, done_before, require_confirmed, require_possible
from pgkeeper.operations.reports import Message
from pgkeeper.postgres.facts import database_size, identify
from pgkeeper.postgres.server import require_superuser, told
from pgkeeper.settings import Settings


class ReplacePlan(Message):
    """What a replacement would do. Sizes in bytes: of the database as it was in the backup, and as it is now."""

    backup_id: str
    database: str
    would_change: bool
    reason: str
    size_bytes: int
    size_now_bytes: int
    created_at: datetime
    age_seconds: float


def plan_replace(request: ReplaceRequest, settings: Settings) -> ReplacePlan:
    """Return what `replace` would do now. Changes nothing. Raises PgkeeperError where `replace` would refuse at once."""
    backup = chosen_backup(request, settings)
    manifest = backup.manifest()
    with outside_session(settings, backup.database) as session, told("planning the replacement"):
        require_superuser(session)
        cluster = identify(session)
        before = done_before(request, backup, cluster, settings)
        if before is not None:
            backup = backup_of(before, request, backup, settings)
            manifest = backup.manifest()
        else:
            require_confirmed(session, request, backup, manifest)
            require_possible(session, cluster, manifest, settings)
            require_free(session, backup.database)
        size = database_size(session, backup.database) or 0
    reason = f"database {backup.database} would be replaced by backup {backup.backup_id}"
    if before is not None:
        reason = f"done before, as {before.replacement_id}; database {backup.database} may have changed since"
    return ReplacePlan(
        backup_id=backup.backup_id,
        database=backup.database,
        would_change=before is None,
        reason=reason,
        size_bytes=manifest.database.size_bytes,
        size_now_bytes=size,
        created_at=backup.created_at,
        age_seconds=(datetime.now(UTC) - backup.created_at).total_seconds(),
    )
