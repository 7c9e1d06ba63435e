"""Say what backups there are: reads files only, so it works while the server is down."""

from datetime import datetime
from typing import Any

from pgkeeper.model.errors import IntegrityError, PgkeeperError
from pgkeeper.model.manifest import Manifest
from pgkeeper.model.proof import Level
from pgkeeper.operations.places import local_store, one_backup
from pgkeeper.operations.reports import Message
from pgkeeper.settings import Settings
from pgkeeper.stores.stored_backup import StoredBackup


class BackupSummary(Message):
    """One backup in a list. `problem` says why its manifest can't be read; then what stands in it is missing here.

    `pin_problem` says why the pin of a pinned backup can't be believed.
    """

    backup_id: str
    database: str
    cluster: str
    created_at: datetime
    path: str
    seconds: float | None = None
    size_bytes: int | None = None
    database_bytes: int | None = None
    tables: int | None = None
    rows: int | None = None
    server_version: str | None = None
    verified: dict[Level, datetime]
    pinned: bool = False
    pin_reason: str = ""
    pin_problem: str = ""
    warnings: tuple[str, ...] = ()
    problem: str = ""


def list_backups(settings: Settings, databases: tuple[str, ...] = ()) -> tuple[BackupSummary, ...]:
    """Return the backups of this host, newest first; with `databases` only theirs. Raises OperationFailed when the store can't be read."""
    found = local_store(settings).backups()
    wanted = (backup for backup in found if not databases or backup.database in databases)
    # One that is removed while we look was never meant to be seen damaged.
    return tuple(summary for backup in wanted if not (summary := _summary(backup)).problem or not backup.gone())


def show_backup(settings: Settings, backup: str, database: str | None = None) -> tuple[StoredBackup, Manifest]:
    """Return where one backup (an id or `latest`) lies, and its manifest. Raises UsageError or IntegrityError."""
    found = one_backup(local_store(settings), backup, database)
    return found, found.manifest()


def _pin(backup: StoredBackup) -> dict[str, Any]:
    try:
        pin = backup.pin()
    except IntegrityError as error:
        return {"pinned": True, "pin_problem": str(error)}
    return {"pinned": True, "pin_reason": pin.reason} if pin else {}


def _summary(backup: StoredBackup) -> BackupSummary:
    summary = BackupSummary(
        backup_id=backup.backup_id,
        database=backup.database,
        cluster=backup.cluster,
        created_at=backup.created_at,
        path=str(backup.path),
        verified=backup.verified(),
        **_pin(backup),
    )
    try:
        manifest = backup.manifest()
    except PgkeeperError as error:
        return summary.model_copy(update={"problem": str(error)})
    return summary.model_copy(
        update={
            "seconds": (manifest.finished_at - manifest.started_at).total_seconds(),
            "size_bytes": manifest.size_bytes,
            "database_bytes": manifest.database.size_bytes,
            "tables": len(manifest.contents.tables),
            "rows": manifest.contents.rows,
            "server_version": manifest.cluster.server_version,
            "warnings": manifest.warnings,
        }
    )
