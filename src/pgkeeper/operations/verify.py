"""Check that a backup is what its manifest says: every byte (`checksum`), or everything in it (`contents`)."""

import time
from datetime import UTC, datetime, timedelta
from typing import Literal

from pgkeeper.host.logs import log
from pgkeeper.model.comparison import differences
from pgkeeper.model.errors import ErrorInfo, IntegrityError, UsageError
from pgkeeper.model.manifest import DATABASE_FILE, Manifest
from pgkeeper.model.progress import Progress
from pgkeeper.operations.failures import as_error_info
from pgkeeper.operations.places import LATEST, local_store, newest_by_database
from pgkeeper.operations.reports import Message, shared_status
from pgkeeper.postgres.understanding import DumpUnderstanding
from pgkeeper.settings import Settings
from pgkeeper.stores.local import LEVELS, Level, StoredBackup


class VerifyRequest(Message):
    """Which backups to check: one by its id, or with `latest` the newest of each of `databases` (none: of every database).

    `if_older_than`: only those whose last successful check of this level (or a deeper one) is older.
    """

    backup: str = LATEST
    databases: tuple[str, ...] = ()
    level: Level = "contents"
    if_older_than: timedelta | None = None


class VerifyOutcome(Message):
    """How it went with one backup; `problems` names what differs, a line each."""

    database: str
    backup_id: str
    level: Level
    status: Literal["done", "skipped", "failed"]
    seconds: float = 0.0
    size_bytes: int | None = None
    tables: int | None = None
    rows: int | None = None
    problems: tuple[str, ...] = ()
    error: ErrorInfo | None = None


class VerifyReport(Message):
    """How it went with every backup."""

    outcomes: tuple[VerifyOutcome, ...]

    @property
    def exit_status(self) -> int:
        """Return 0 when every backup is whole, else the status all failures share, or 1 when they differ."""
        return shared_status(outcome.error for outcome in self.outcomes)


def verify(request: VerifyRequest, settings: Settings, progress: Progress) -> VerifyReport:
    """Check the backups `request` names, each on its own; what is wrong with them is in the report.

    Raises UsageError when there is nothing to check.
    """
    return VerifyReport(outcomes=tuple(_one(backup, request, progress) for backup in _chosen(request, settings)))


def check_files(backup: StoredBackup, manifest: Manifest, progress: Progress) -> None:
    """Read every file of a backup and compare size and SHA-256 with its manifest. Raises IntegrityError."""
    done = 0
    for entry in manifest.files:
        for block in backup.read(entry):
            done += len(block)
            progress.advance(done, manifest.size_bytes)


def _chosen(request: VerifyRequest, settings: Settings) -> tuple[StoredBackup, ...]:
    store = local_store(settings)
    if request.backup != LATEST:
        return (store.find(request.backup),)
    newest = newest_by_database(store.backups())
    found = {backup.database for backup in newest.values()}
    missing = [name for name in request.databases if name not in found]
    if missing or not newest:
        whose = f" of {', '.join(missing)}" if missing else ""
        raise UsageError(f"there is no backup{whose} in {store.home}", "", "make one with `pgkeeper backup`")
    return tuple(backup for backup in newest.values() if not request.databases or backup.database in request.databases)


def _one(backup: StoredBackup, request: VerifyRequest, progress: Progress) -> VerifyOutcome:
    began = time.monotonic()
    outcome = VerifyOutcome(database=backup.database, backup_id=backup.backup_id, level=request.level, status="done")
    if request.if_older_than is not None and _recently_checked(backup, request.level, request.if_older_than):
        return outcome.model_copy(update={"status": "skipped"})
    progress.phase(f"verify {backup.backup_id}")
    problems: tuple[str, ...] = ()
    try:
        with backup.being_read():
            manifest = backup.manifest()
            if request.level == "checksum":
                check_files(backup, manifest, progress)
            else:
                problems = _content_problems(backup, manifest, progress)
        if problems:
            raise IntegrityError(f"backup {backup.backup_id} is not what its manifest says", "; ".join(problems), "use another backup")
        backup.mark_verified(request.level, datetime.now(UTC))
    except Exception as error:  # noqa: BLE001 - one backup's damage never hides another's
        info = as_error_info(error, f"check of {backup.backup_id}")
        if isinstance(error, IntegrityError):
            backup.unmark_verified()
        log.error("verify failed", backup_id=backup.backup_id, level=request.level, error=str(info))
        return outcome.model_copy(update={"status": "failed", "problems": problems, "error": info, "seconds": time.monotonic() - began})
    log.info("verify done", backup_id=backup.backup_id, level=request.level)
    return outcome.model_copy(
        update={
            "seconds": time.monotonic() - began,
            "size_bytes": manifest.size_bytes,
            "tables": len(manifest.contents.tables),
            "rows": manifest.contents.rows,
        }
    )


def _recently_checked(backup: StoredBackup, level: Level, age: timedelta) -> bool:
    now = datetime.now(UTC)
    deep_enough = LEVELS[LEVELS.index(level) :]
    return any(now - age <= at <= now for known, at in backup.verified().items() if known in deep_enough)


def _content_problems(backup: StoredBackup, manifest: Manifest, progress: Progress) -> tuple[str, ...]:
    """Decompress and read everything to its end; return what differs from the manifest."""
    understanding = DumpUnderstanding()
    for entry in manifest.files:
        if entry.name == DATABASE_FILE:
            for chunk in backup.read_gzip(entry):
                understanding.feed(chunk)
                progress.advance(understanding.sql_bytes, manifest.contents.sql_bytes)
        else:
            for _ in backup.read_gzip(entry) if entry.name.endswith(".gz") else backup.read(entry):
                pass
    return differences(manifest.contents, understanding.finish())
