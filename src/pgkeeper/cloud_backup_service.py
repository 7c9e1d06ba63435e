"""Copies off site for programs: one class, the same operations as behind the command line.

    service = CloudBackupService()
    backup_id = await service.upload_backup("/var/backups/pgkeeper/db1/15-main/app/app-20261122T194213Z")
    assert await service.verify_backup(backup_id)

Settings are read as everywhere; the process must be the user postgres.
"""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from pgkeeper.model.errors import IntegrityError, PgkeeperError, UsageError
from pgkeeper.model.progress import NullProgress

if TYPE_CHECKING:
    from pgkeeper.operations.listing import BackupSummary
    from pgkeeper.settings import Settings


class CloudBackupService:
    """Uploads, downloads, lists, deletes and verifies the copies of this host's backups, whichever provider keeps them.

    Every method works in a thread, so the caller's loop goes on. Errors are PgkeeperError with what, why and the next step.
    """

    def __init__(self, settings: "Settings | None" = None) -> None:
        """Take `settings`, or those of this host. Raises ConfigurationError (exit status 3)."""
        from pgkeeper.settings import load_settings

        self._settings = settings or load_settings()

    async def upload_backup(self, file_path: str) -> str:
        """Copy a backup off site, encrypted, and return its id; one that is there already is left as it is.

        `file_path` is the backup's directory, or any file in it. Raises UsageError when that is no backup of this host.
        """
        return await asyncio.to_thread(self._upload, Path(file_path))

    async def download_backup(self, backup_id: str, target: str) -> str:
        """Write a backup's compressed dump (`.sql.gz`, decrypted and checked) to the new file `target`, and return that.

        Not into memory: a dump may be larger.
        """
        from pgkeeper.operations.download import download

        await asyncio.to_thread(download, backup_id, Path(target), self._settings, NullProgress())
        return target

    async def list_backups(self) -> "tuple[BackupSummary, ...]":
        """Return all copies off site, newest first; the bucket is asked."""
        from pgkeeper.operations.listing import list_copies

        return await asyncio.to_thread(list_copies, self._settings, "cloud")

    async def delete_backup(self, backup_id: str) -> None:
        """Remove a backup's copy off site for good. Raises RefusedError for one that is pinned."""
        from pgkeeper.operations.delete import CONFIRMATION, delete

        await asyncio.to_thread(delete, backup_id, CONFIRMATION, self._settings, "cloud")

    async def verify_backup(self, backup_id: str) -> bool:
        """Tell whether a copy off site is whole: everything in it is read, decrypted and compared with its manifest.

        False means damaged, tampered with, or another key. Raises PgkeeperError when that can't be found out.
        """
        return await asyncio.to_thread(self._verify, backup_id)

    def _upload(self, path: Path) -> str:
        from pgkeeper.operations.places import local_store
        from pgkeeper.operations.sync import SyncRequest, sync

        for backup in local_store(self._settings).backups():
            if path in (backup.path, *(backup.path / entry.name for entry in backup.manifest().files)):
                break
        else:
            raise UsageError(f"{path} is no backup of this host", "", "`pgkeeper list` shows them")
        report = sync(SyncRequest(backups=(backup.backup_id,)), self._settings, NullProgress())
        for error in (*(outcome.error for outcome in report.outcomes), *(store.error for store in report.stores)):
            if error is not None:
                raise PgkeeperError(error.what, error.why, error.hint)
        return backup.backup_id

    def _verify(self, backup_id: str) -> bool:
        from pgkeeper.operations.verify import VerifyRequest, verify

        report = verify(VerifyRequest(backup=backup_id, source="cloud"), self._settings, NullProgress())
        (outcome,) = report.outcomes
        if outcome.error is None:
            return True
        if outcome.error.exit_status == IntegrityError.exit_status:
            return False
        raise PgkeeperError(outcome.error.what, outcome.error.why, outcome.error.hint)
