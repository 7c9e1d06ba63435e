"""Remove one backup because its owner says so."""

from pgkeeper.host.logs import log
from pgkeeper.model.errors import RefusedError
from pgkeeper.operations.places import local_store, store_lock
from pgkeeper.operations.reports import Message
from pgkeeper.settings import Settings

CONFIRMATION = "DELETE"


class DeleteReport(Message):
    """Which backup was removed, and how many good ones of its database remain."""

    backup_id: str
    database: str
    remaining: int


def delete(backup_id: str, confirmation: str, settings: Settings) -> DeleteReport:
    """Remove a backup for good.

    Raises RefusedError (exit status 6) unless `confirmation` is the word DELETE, and for a backup that is pinned; BusyError (5) while it is
    being read.
    """
    store = local_store(settings)
    store.find(backup_id)
    if confirmation != CONFIRMATION:
        raise RefusedError(f"backup {backup_id} was not deleted", "deleting cannot be undone", f"confirm with --confirm {CONFIRMATION}")
    with store_lock(settings):
        backup = store.find(backup_id)
        if backup.pinned():
            raise RefusedError(f"backup {backup_id} was not deleted", "it is pinned", f"first: pgkeeper unpin {backup_id}")
        store.delete(backup)
    log.info("backup deleted", backup_id=backup_id)
    same = (other for other in store.backups() if (other.cluster, other.database) == (backup.cluster, backup.database))
    return DeleteReport(backup_id=backup_id, database=backup.database, remaining=sum(1 for other in same if other.readable()))
