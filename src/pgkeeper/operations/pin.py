"""Pin a backup, so that neither expiry nor deletion takes any copy of it, and unpin it again."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime

from pgkeeper.host.logs import log
from pgkeeper.model.copy import StoreName
from pgkeeper.model.errors import IntegrityError, OperationFailed, UsageError
from pgkeeper.model.pin import Pin
from pgkeeper.operations.off_site import bucket_settings, cloud_store, known_off_site, off_site_lock
from pgkeeper.operations.places import local_store, store_lock
from pgkeeper.operations.reports import Message
from pgkeeper.settings import Settings
from pgkeeper.stores.copy import Copy


class PinReport(Message):
    """Whether a backup is pinned now, and whether that was changed; `stores` says where it has copies.

    `reason` and `pinned_at` are those of the pin, if there is one.
    """

    backup_id: str
    database: str
    pinned: bool
    changed: bool
    stores: tuple[StoreName, ...]
    reason: str = ""
    pinned_at: datetime | None = None


def pin(backup_id: str, reason: str, settings: Settings) -> PinReport:
    """Pin all copies of a backup because of `reason` (may be empty). What is pinned for the same reason stays as it is.

    Raises UsageError when there is no such backup, BusyError, or OperationFailed when a copy can't be pinned; the others then may be.
    """
    with _copies(backup_id, settings) as copies:
        before = [_pin_of(copy) for copy in copies.values()]
        known = next((found for found in before if found is not None and found.reason == reason), None)
        wanted = known or Pin(backup_id=backup_id, reason=reason, pinned_at=datetime.now(UTC))
        for copy, found in zip(copies.values(), before, strict=True):
            if found != wanted:
                _change(copy, f"backup {backup_id} could not be pinned", lambda copy=copy: copy.keep_pin(wanted))  # type: ignore[misc]
        changed = any(found != wanted for found in before)
        if changed:
            log.info("backup pinned", backup_id=backup_id, reason=reason, stores=list(copies))
        return PinReport(
            backup_id=backup_id,
            database=next(iter(copies.values())).database,
            pinned=True,
            changed=changed,
            stores=tuple(copies),
            reason=wanted.reason,
            pinned_at=wanted.pinned_at,
        )


def unpin(backup_id: str, settings: Settings) -> PinReport:
    """Take the pin off all copies of a backup, genuine or not; from then on retention decides. One that has none stays as it is.

    Raises UsageError when there is no such backup, BusyError, or OperationFailed when a pin can't be removed.
    """
    with _copies(backup_id, settings) as copies:
        pinned = [copy for copy in copies.values() if copy.pinned()]
        for copy in pinned:
            _change(copy, f"backup {backup_id} could not be unpinned", copy.forget_pin)
        if pinned:
            log.info("backup unpinned", backup_id=backup_id, stores=list(copies))
        database = next(iter(copies.values())).database
        return PinReport(backup_id=backup_id, database=database, pinned=False, changed=bool(pinned), stores=tuple(copies))


@contextmanager
def _copies(backup_id: str, settings: Settings) -> Iterator[dict[StoreName, Copy]]:
    """Yield the copies of a backup by their store: the one on this host, and those off site that this host knows of."""
    off_site = [store for store, ledger in known_off_site(settings) if any(copy.backup_id == backup_id for copy in ledger.copies)]
    with ExitStack() as locks:
        locks.enter_context(store_lock(settings))
        copies: dict[StoreName, Copy] = {}
        try:
            copies["local"] = local_store(settings).find(backup_id)
        except UsageError:
            if not off_site:
                raise
        for store in off_site:
            locks.enter_context(off_site_lock(settings, store))
            copies[store] = cloud_store(settings, bucket_settings(settings, store)).find(backup_id)
        yield copies


def _pin_of(copy: Copy) -> Pin | None:
    try:
        return copy.pin()
    except IntegrityError as error:
        log.warning("a pin is replaced", backup_id=copy.backup_id, error=str(error))
        return None


def _change(copy: Copy, what: str, change: Callable[[], None]) -> None:
    try:
        change()
    except OSError as error:
        raise OperationFailed(what, f"{error.strerror} ({copy.where})") from error
