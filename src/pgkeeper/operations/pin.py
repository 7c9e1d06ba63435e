"""Pin a backup, so that neither expiry nor deletion takes it, and unpin it again."""

from datetime import UTC, datetime

from pgkeeper.host.logs import log
from pgkeeper.model.errors import IntegrityError, OperationFailed
from pgkeeper.model.pin import Pin
from pgkeeper.operations.places import local_store, store_lock
from pgkeeper.operations.reports import Message
from pgkeeper.settings import Settings


class PinReport(Message):
    """Whether a backup is pinned now, and whether that was changed. `reason` and `pinned_at` are those of the pin, if there is one."""

    backup_id: str
    database: str
    pinned: bool
    changed: bool
    reason: str = ""
    pinned_at: datetime | None = None


def pin(backup_id: str, reason: str, settings: Settings) -> PinReport:
    """Pin a backup because of `reason` (may be empty). One that is pinned for the same reason stays as it is.

    Raises UsageError when there is no such backup, BusyError, or OperationFailed when the pin can't be written.
    """
    with store_lock(settings):
        backup = local_store(settings).find(backup_id)
        try:
            before = backup.pin()
        except IntegrityError as error:
            log.warning("a pin is replaced", backup_id=backup_id, error=str(error))
            before = None
        wanted = Pin(backup_id=backup_id, reason=reason, pinned_at=datetime.now(UTC))
        changed = before is None or before.reason != reason
        if changed:
            try:
                backup.keep_pin(wanted)
            except OSError as error:
                raise OperationFailed(f"backup {backup_id} could not be pinned", f"{error.strerror} ({backup.path})") from error
            log.info("backup pinned", backup_id=backup_id, reason=reason)
        found = wanted if changed or before is None else before
        return PinReport(
            backup_id=backup_id, database=backup.database, pinned=True, changed=changed, reason=found.reason, pinned_at=found.pinned_at
        )


def unpin(backup_id: str, settings: Settings) -> PinReport:
    """Take the pin off a backup, genuine or not; from then on retention decides. One that has none stays as it is.

    Raises UsageError when there is no such backup, BusyError, or OperationFailed when the pin can't be removed.
    """
    with store_lock(settings):
        backup = local_store(settings).find(backup_id)
        changed = backup.pinned()
        if changed:
            try:
                backup.forget_pin()
            except OSError as error:
                raise OperationFailed(f"backup {backup_id} could not be unpinned", f"{error.strerror} ({backup.path})") from error
            log.info("backup unpinned", backup_id=backup_id)
        return PinReport(backup_id=backup_id, database=backup.database, pinned=False, changed=changed)
