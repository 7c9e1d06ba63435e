"""Remove one copy of a backup because its owner says so."""

from pgkeeper.host.logs import log
from pgkeeper.model.copy import StoreName
from pgkeeper.model.errors import RefusedError
from pgkeeper.operations.off_site import bucket_settings, ledger_change, off_site_lock
from pgkeeper.operations.places import copies_in, store_lock
from pgkeeper.operations.reports import Message
from pgkeeper.settings import Settings

CONFIRMATION = "DELETE"


class DeleteReport(Message):
    """Which backup was removed from which store, and how many good ones of its database remain there."""

    backup_id: str
    database: str
    store: StoreName
    remaining: int


def delete(backup_id: str, confirmation: str, settings: Settings, source: StoreName = "local") -> DeleteReport:
    """Remove a backup's copy in one store for good; one that was removed off site is not copied there again.

    Raises RefusedError (exit status 6) unless `confirmation` is the word DELETE, and for a backup that is pinned; BusyError (5) while it is
    being read.
    """
    store = copies_in(settings, source)
    store.find(backup_id)
    if confirmation != CONFIRMATION:
        here, there = f"`pgkeeper delete {backup_id} --confirm DELETE`", f"`pgkeeper delete {backup_id} --from {source} --confirm DELETE`"
        hint = f"if you are sure: {here if source == 'local' else there}"
        raise RefusedError(f"backup {backup_id} was not deleted", "deleting cannot be undone", hint)
    with store_lock(settings) if source == "local" else off_site_lock(settings, source):
        backup = store.find(backup_id)
        if backup.pinned():
            raise RefusedError(f"backup {backup_id} was not deleted", "it is pinned", f"first: `pgkeeper unpin {backup_id}`")
        store.delete(backup)
    if source != "local":
        with ledger_change(settings, bucket_settings(settings, source)) as change:
            copy = change.ledger.find(backup.cluster, backup_id)
            left = change.ledger.without([copy] if copy else [])
            change.ledger = left.model_copy(update={"unwanted": (*left.unwanted, backup_id)})
    log.info("backup deleted", backup_id=backup_id, store=source)
    same = (other for other in store.backups() if (other.cluster, other.database) == (backup.cluster, backup.database))
    return DeleteReport(backup_id=backup_id, database=backup.database, store=source, remaining=sum(1 for other in same if other.readable()))
