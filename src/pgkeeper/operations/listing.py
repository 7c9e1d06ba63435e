"""Say what backups there are: reads files only, so it works while the server is down."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pgkeeper.model.errors import IntegrityError, PgkeeperError
from pgkeeper.model.manifest import Manifest
from pgkeeper.model.proof import Level
from pgkeeper.operations.manifest_facts import Facts, ManifestFacts, fresh_facts, known_facts, manifest_path
from pgkeeper.operations.places import local_store, one_backup
from pgkeeper.operations.reports import Message
from pgkeeper.settings import Settings
from pgkeeper.stores.stored_backup import StoredBackup


class BackupSummary(Message):
    """One backup in a list. `problem` says why its manifest can't be read (then what stands in it is missing here), or what a check found.

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
    made_by: str | None = None
    server_version: str | None = None
    verified: dict[Level, datetime]
    pinned: bool = False
    pin_reason: str = ""
    pin_problem: str = ""
    warnings: tuple[str, ...] = ()
    problem: str = ""


def list_backups(settings: Settings, databases: tuple[str, ...] = ()) -> tuple[BackupSummary, ...]:
    """Return the backups of this host, newest first; with `databases` only theirs. Raises OperationFailed when the store can't be read.

    The directories say which there are; what stands in a manifest may come from the catalog.
    """
    found = [backup for backup in local_store(settings).backups() if not databases or backup.database in databases]
    return _summaries(found, known_facts(settings, found, everything=not databases))


def examine_backups(settings: Settings) -> tuple[BackupSummary, ...]:
    """Return what `list_backups` does, from the files alone: to find damage, not to be quick."""
    found = local_store(settings).backups()
    return _summaries(found, fresh_facts(found)[0])


def show_backup(settings: Settings, backup: str, database: str | None = None) -> tuple[StoredBackup, Manifest]:
    """Return where one backup (an id or `latest`) lies, and its manifest.

    Raises UsageError or BackupGoneError (exit status 2) when there is none, IntegrityError when it is damaged.
    """
    found = one_backup(local_store(settings), backup, database)
    return found, found.manifest()


def _summaries(backups: Iterable[StoredBackup], facts: Facts) -> tuple[BackupSummary, ...]:
    summaries = ((backup, _summary(backup, facts[manifest_path(backup)])) for backup in backups)
    # One that is removed while we look was never meant to be seen damaged.
    return tuple(summary for backup, summary in summaries if not summary.problem or not backup.gone())


def _pin(backup: StoredBackup) -> dict[str, Any]:
    try:
        pin = backup.pin()
    except IntegrityError as error:
        return {"pinned": True, "pin_problem": str(error)}
    return {"pinned": True, "pin_reason": pin.reason} if pin else {}


def _summary(backup: StoredBackup, facts: ManifestFacts | PgkeeperError) -> BackupSummary:
    summary = BackupSummary(
        backup_id=backup.backup_id,
        database=backup.database,
        cluster=backup.cluster,
        created_at=backup.created_at,
        path=str(backup.path),
        verified=backup.verified(),
        **_pin(backup),
    )
    damage = backup.damage()
    said = {"problem": str(facts)} if isinstance(facts, PgkeeperError) else {**dict(facts), "problem": damage.found if damage else ""}
    return summary.model_copy(update=said)
