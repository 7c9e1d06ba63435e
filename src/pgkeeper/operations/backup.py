"""Back up databases: each on its own, whole or not at all."""

import time
from datetime import UTC, datetime, timedelta
from typing import Literal

from pgkeeper.host.logs import log
from pgkeeper.model.errors import ErrorInfo, UsageError
from pgkeeper.model.manifest import Manifest
from pgkeeper.model.progress import Progress
from pgkeeper.operations.backup_database import back_up_database, dump_lock
from pgkeeper.operations.failures import as_error_info
from pgkeeper.operations.places import local_store, server
from pgkeeper.operations.reports import Message, shared_status
from pgkeeper.operations.resume import resume_first
from pgkeeper.operations.size_history import remember_backup
from pgkeeper.operations.tell_owner import tell_backup_failed
from pgkeeper.postgres.facts import ClusterIdentity, databases_to_back_up, identify
from pgkeeper.postgres.server import require_superuser, told
from pgkeeper.settings import Settings
from pgkeeper.stores.local_copy import LocalCopy

EVERYTHING = "all databases"


class BackupRequest(Message):
    """What to back up. No `databases`: what settings say. `test`: do everything for real and keep nothing.

    `if_older_than`: only databases whose newest backup is older. `wait`: how long to wait for another backup of the same database.
    `adopt`: take over a place whose owner object names another machine or cluster.
    """

    databases: tuple[str, ...] = ()
    test: bool = False
    if_older_than: timedelta | None = None
    wait: timedelta = timedelta()
    adopt: bool = False


class BackupOutcome(Message):
    """How it went with one database. Sizes in bytes: `size_bytes` of the backup's files, `database_bytes` of the database."""

    database: str
    status: Literal["done", "skipped", "failed"]
    backup_id: str | None = None
    path: str | None = None
    size_bytes: int | None = None
    database_bytes: int | None = None
    tables: int | None = None
    rows: int | None = None
    seconds: float = 0.0
    reason: str = ""
    warnings: tuple[str, ...] = ()
    error: ErrorInfo | None = None


class BackupReport(Message):
    """How it went with every database; `kept` is False for a test, `warnings` speak of the run as a whole."""

    outcomes: tuple[BackupOutcome, ...]
    kept: bool = True
    warnings: tuple[str, ...] = ()

    @property
    def exit_status(self) -> int:
        """Return 0 when no database failed, else the status all failures share, or 1 when they differ."""
        return shared_status(outcome.error for outcome in self.outcomes)


def backup(request: BackupRequest, settings: Settings, progress: Progress) -> BackupReport:
    """Back up what `request` names and tell the owner about failures.

    One database's failure never stops the others; failures are in the report, not raised.
    """
    outcomes: list[BackupOutcome] = []
    resume_first(settings, progress)
    try:
        cluster, names = _survey(request, settings)
    except Exception as error:  # noqa: BLE001 - whatever it is, the owner must hear of it
        outcomes.append(_failed(", ".join(request.databases or settings.databases) or EVERYTHING, error, 0.0))
    else:
        outcomes.extend(_one(cluster, name, request, settings, progress) for name in names)
    report = BackupReport(outcomes=tuple(outcomes), kept=not request.test)
    if request.test or report.exit_status == 0:
        return report
    failures = {outcome.database: outcome.error for outcome in outcomes if outcome.error is not None}
    return report.model_copy(update={"warnings": tell_backup_failed(failures, len(outcomes), settings)})


def due(request: BackupRequest, settings: Settings) -> tuple[str, ...]:
    """Return the databases that `backup` would back up now. Changes nothing. Raises PgkeeperError when the server can't say."""
    cluster, names = _survey(request, settings)
    return () if _left_to_primary(cluster, settings) else tuple(name for name in names if _fresh(cluster, name, request, settings) is None)


def _survey(request: BackupRequest, settings: Settings) -> tuple[ClusterIdentity, tuple[str, ...]]:
    with server(settings).connect_maintenance() as session, told("looking at the cluster"):
        require_superuser(session)
        cluster = identify(session)
        named = request.databases or settings.databases
        if "" in named:
            raise UsageError("a database's name is empty")
        return cluster, tuple(dict.fromkeys(named)) if named else databases_to_back_up(session)


def _left_to_primary(cluster: ClusterIdentity, settings: Settings) -> bool:
    return cluster.standby and not settings.from_standby


def _fresh(cluster: ClusterIdentity, name: str, request: BackupRequest, settings: Settings) -> LocalCopy | None:
    """Return the backup that makes a new one unnecessary, if there is one. A backup from the future makes nothing unnecessary."""
    if request.if_older_than is None:
        return None
    now = datetime.now(UTC)
    for backup in local_store(settings).backups():
        if (backup.cluster, backup.database) == (cluster.label, name) and now - request.if_older_than <= backup.created_at <= now:
            return backup
    return None


def _one(cluster: ClusterIdentity, name: str, request: BackupRequest, settings: Settings, progress: Progress) -> BackupOutcome:
    began = time.monotonic()
    if _left_to_primary(cluster, settings):
        return BackupOutcome(database=name, status="skipped", reason="this server is a standby; BACKUP_FROM_STANDBY=true backs it up too")
    if fresh := _fresh(cluster, name, request, settings):
        return _skipped(name, fresh)
    try:
        with dump_lock(cluster, name, settings, request.wait):
            # What was waited for may have been the backup that was missing.
            if fresh := _fresh(cluster, name, request, settings):
                return _skipped(name, fresh)
            backup, manifest = back_up_database(
                cluster, name, settings, progress, keep=not request.test, wait=request.wait, adopt=request.adopt
            )
    except Exception as error:  # noqa: BLE001 - one database never stops the others
        return _failed(name, error, time.monotonic() - began)
    seconds = time.monotonic() - began
    remember_backup(settings, manifest.cluster.label, name, manifest.started_at, manifest.database.size_bytes)
    return _done(backup, manifest, seconds)


def _skipped(name: str, fresh: LocalCopy) -> BackupOutcome:
    return BackupOutcome(
        database=name, status="skipped", backup_id=fresh.backup_id, path=str(fresh.path), reason="a backup is recent enough"
    )


def _done(backup: LocalCopy | None, manifest: Manifest, seconds: float) -> BackupOutcome:
    log.info(
        "backup done", database=manifest.database.name, backup_id=manifest.backup_id, kept=backup is not None,
        size_bytes=manifest.size_bytes, seconds=round(seconds, 1), warnings=list(manifest.warnings),
    )  # fmt: skip
    return BackupOutcome(
        database=manifest.database.name,
        status="done",
        backup_id=manifest.backup_id,
        path=str(backup.path) if backup else None,
        size_bytes=manifest.size_bytes,
        database_bytes=manifest.database.size_bytes,
        tables=len(manifest.contents.tables),
        rows=manifest.contents.rows,
        seconds=seconds,
        warnings=manifest.warnings,
    )


def _failed(name: str, error: Exception, seconds: float) -> BackupOutcome:
    info = as_error_info(error, f"backup of {name}")
    log.error("backup failed", database=name, error=str(info), exit_status=info.exit_status)
    return BackupOutcome(database=name, status="failed", seconds=seconds, error=info)
