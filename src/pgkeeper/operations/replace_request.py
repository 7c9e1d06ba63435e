"""The request to replace a database by a backup: which backup is meant, whether it was done before, and whether it may be done."""

import shutil
from datetime import UTC, datetime, timedelta

from pgkeeper.model.copy import StoreName
from pgkeeper.model.durations import format_duration
from pgkeeper.model.errors import OperationFailed, RefusedError, UsageError
from pgkeeper.model.manifest import Manifest
from pgkeeper.model.replacement import CONFIRMATION, Replacement
from pgkeeper.model.sizes import format_size
from pgkeeper.operations.places import LATEST, copies_in, one_backup
from pgkeeper.operations.replacements import replacements, replacements_on
from pgkeeper.operations.reports import Message
from pgkeeper.postgres.facts import ClusterIdentity, database_size
from pgkeeper.postgres.roles import GlobalsMode
from pgkeeper.postgres.server import Session
from pgkeeper.settings import Settings
from pgkeeper.stores.copy import Copy


class ReplaceRequest(Message):
    """Which backup takes production's place. `confirmation` must be the word RESTORE.

    `latest` is never what was saved of a database just before it was replaced: asked for twice, that would bring back what was replaced.
    `source`, `host`, `trust_database`, `globals_mode`, `wait` and `request_id` are as for a restore beside.
    """

    backup: str = LATEST
    database: str | None = None
    source: StoreName = "local"
    host: str = ""
    confirmation: str = ""
    request_id: str | None = None
    trust_database: bool = False
    globals_mode: GlobalsMode = "missing"
    wait: timedelta = timedelta()


def chosen_backup(request: ReplaceRequest, settings: Settings) -> Copy:
    """Return the backup that is meant. Raises UsageError (exit status 2) when that is not exactly one."""
    saved = frozenset(known.saved_backup for known in replacements(settings) if known.saved_backup is not None)
    return one_backup(copies_in(settings, request.source, request.host), request.backup, request.database, never_latest=saved)


def done_before(request: ReplaceRequest, backup: Copy, cluster: ClusterIdentity, settings: Settings) -> Replacement | None:
    """Return the replacement of the same request id. Raises RefusedError when that was another one."""
    if request.request_id is None:
        return None
    for known in replacements_on(cluster, settings):
        if (known.kind, known.step, known.request_id) != ("replace", "done", request.request_id):
            continue
        if known.database != backup.database or request.backup not in (LATEST, known.backup_id):
            raise RefusedError(
                f"the request id {request.request_id} was used for another replacement",
                f"{known.database} by {known.backup_id}",
                "use a new id for a new request",
            )
        return known
    return None


def backup_of(known: Replacement, request: ReplaceRequest, chosen: Copy, settings: Settings) -> Copy:
    """Return the backup that a replacement was done with; `latest` may be another one by now, which is `chosen`.

    Raises UsageError (exit status 2) when it is gone: what was done can't be vouched for, or done again, with another backup.
    """
    if known.backup_id is None or known.backup_id == chosen.backup_id:
        return chosen
    try:
        return one_backup(copies_in(settings, request.source, request.host), known.backup_id, known.database)
    except UsageError as error:
        done = f"{known.replacement_id} was done with it by the request id {request.request_id}, and nothing is done now"
        raise UsageError(error.what, done, "use a new id to replace the database by another backup") from error


def require_confirmed(session: Session, request: ReplaceRequest, backup: Copy, manifest: Manifest) -> None:
    """Raise RefusedError without the word, telling what would be put aside."""
    if request.confirmation == CONFIRMATION:
        return
    age = format_duration((datetime.now(UTC) - backup.created_at).total_seconds())
    now = format_size(database_size(session, backup.database) or 0)
    raise RefusedError(
        f"database {backup.database} was not replaced",
        f"backup {backup.backup_id} is {age} old and has {format_size(manifest.database.size_bytes)}, the database has {now} now",
        f"what was written since would be put aside; confirm with --confirm {CONFIRMATION}",
    )


def require_possible(session: Session, cluster: ClusterIdentity, manifest: Manifest, settings: Settings) -> None:
    """Refuse before anything is made what would be refused later. Room for the old and the new, and for a backup of the old."""
    name = manifest.database.name
    if cluster.standby:
        raise OperationFailed("nothing can be replaced on this server", "it is a standby", "set PGHOST and PGPORT to its primary")
    size = database_size(session, name)
    if size is None:
        raise UsageError(f"there is no database {name} to replace", "", f"restore it without --replace, with --to {name}")
    free = shutil.disk_usage(settings.dir).free
    if free < manifest.size_bytes:
        raise RefusedError("there is too little space for a backup of what is there now", f"{settings.dir} has {format_size(free)} free")
