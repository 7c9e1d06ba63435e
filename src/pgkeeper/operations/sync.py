"""Copy backups off site: every one that is not there yet, the oldest first, and look whether what was sent is still there."""

import time
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

from pgkeeper.host.identity import machine_id
from pgkeeper.host.locks import exclusive
from pgkeeper.host.logs import log
from pgkeeper.model.errors import ErrorInfo, IntegrityError
from pgkeeper.model.ledger import CopyRecord, Ledger, hold_against
from pgkeeper.model.manifest import Manifest
from pgkeeper.model.progress import Progress
from pgkeeper.off_site_settings import BucketSettings, OffSite
from pgkeeper.operations.copy_record import record_of
from pgkeeper.operations.failures import as_error_info
from pgkeeper.operations.off_site import cloud_store, ledger_change, read_ledger
from pgkeeper.operations.places import local_store
from pgkeeper.operations.reports import Message, shared_status
from pgkeeper.operations.tell_owner import tell_sync_failed
from pgkeeper.operations.waiting import waiting_for
from pgkeeper.settings import Settings
from pgkeeper.stores.bucket import ObjectGoneError
from pgkeeper.stores.cloud import CloudStore, Listing
from pgkeeper.stores.cloud_copy import CloudCopy
from pgkeeper.stores.local_copy import LocalCopy
from pgkeeper.stores.send import Sender

_TOLD_AGAIN = timedelta(hours=24)


class SyncRequest(Message):
    """Copy what is missing off site; with `backups` only those, by their ids.

    `wait`: how long to wait for a sync that runs. `adopt`: take over another machine's place.
    """

    backups: tuple[str, ...] = ()
    wait: timedelta = timedelta()
    adopt: bool = False


class SyncOutcome(Message):
    """How it went with one backup in one store. `size_bytes` is that of its encrypted files."""

    store: OffSite
    database: str
    backup_id: str
    status: Literal["done", "failed"]
    size_bytes: int | None = None
    seconds: float = 0.0
    error: ErrorInfo | None = None


class StoreSync(Message):
    """How a store stands at the end. `waiting` backups are not there yet, the oldest of them for `lag_seconds`.

    `lost` names copies that were there and are not any more, or not whole; `error` is why the store as a whole could not be used.
    """

    store: OffSite
    where: str
    copies: int
    size_bytes: int
    waiting: int
    lag_seconds: float
    lost: tuple[str, ...] = ()
    error: ErrorInfo | None = None


class SyncReport(Message):
    """What was copied, and how each store stands."""

    outcomes: tuple[SyncOutcome, ...]
    stores: tuple[StoreSync, ...]
    warnings: tuple[str, ...] = ()

    @property
    def exit_status(self) -> int:
        """Return 0 when everything is off site and whole; 4 when a copy was lost; else the status all failures share, or 1."""
        if any(store.lost for store in self.stores):
            return IntegrityError.exit_status
        return shared_status([*(outcome.error for outcome in self.outcomes), *(store.error for store in self.stores)])


def sync(request: SyncRequest, settings: Settings, progress: Progress) -> SyncReport:
    """Copy to every store off site what is missing there.

    What can't be copied is in the report, and the owner is told once, and again each day. Raises ConfigurationError (exit status 3) where
    keys can't be used, UsageError for an id that no backup has, and BusyError when another sync runs for longer than `wait`.
    """
    for backup_id in request.backups:
        local_store(settings).find(backup_id)
    outcomes: list[SyncOutcome] = []
    stores: list[StoreSync] = []
    warnings: list[str] = []
    with exclusive(settings.state_dir, "sync", "a sync", request.wait):
        for bucket in settings.buckets:
            store = cloud_store(settings, bucket)
            each = _StoreSync(store, bucket, request, settings, progress)
            each.run()
            outcomes += each.outcomes
            stores.append(each.report())
            warnings += each.remember_and_tell()
    return SyncReport(outcomes=tuple(outcomes), stores=tuple(stores), warnings=tuple(warnings))


class _StoreSync:
    """One store's turn."""

    def __init__(self, store: CloudStore, bucket: BucketSettings, request: SyncRequest, settings: Settings, progress: Progress) -> None:
        self._store = store
        self._bucket = bucket
        self._name = bucket.store
        self._request = request
        self._settings = settings
        self._progress = progress
        self._sender = Sender(store, settings.state_dir / "off-site" / f"{bucket.store}-on-its-way", settings.cloud_upload_limit)
        self._error: ErrorInfo | None = None
        self._lost: list[str] = []
        self.outcomes: list[SyncOutcome] = []

    def run(self) -> None:
        """Look, and copy what is missing until nothing is. What goes wrong is remembered for the report."""
        try:
            waiting = self._waiting(self._request.backups)
            self._claim(waiting)
            listing = self._store.listing()
            self._reckon(listing)
            self._sender.forget_others(waiting)
            self._store.sweep(listing.strays, self._sender.under_way)
            failed: set[tuple[str, str]] = set()
            # Copying may take hours, in which the next backup is made.
            while backup := next((one for one in self._waiting(self._request.backups) if (one.cluster, one.backup_id) not in failed), None):
                if not self._copy(backup):
                    failed.add((backup.cluster, backup.backup_id))
                if self._error is not None:
                    return
        except Exception as error:  # noqa: BLE001 - one store never stands in the way of the other
            self._error = as_error_info(error, f"copying to {self._store.where}")
            log.error("sync failed", store=self._name, error=str(self._error))

    def report(self) -> StoreSync:
        """Say how the store stands now."""
        ledger = self._ledger()
        waiting = self._waiting()
        lag = (datetime.now(UTC) - waiting[0].created_at).total_seconds() if waiting else 0.0
        return StoreSync(
            store=self._name,
            where=self._store.where,
            copies=len(ledger.copies),
            size_bytes=sum(copy.size_bytes for copy in ledger.copies),
            waiting=len(waiting),
            lag_seconds=round(lag, 1),
            lost=tuple(self._lost),
            error=self._error,
        )

    def remember_and_tell(self) -> tuple[str, ...]:
        """Remember whether it went well. Tells the owner of what is new, and each day of what still fails; returns warnings."""
        now = datetime.now(UTC)
        failures = [str(outcome.error) for outcome in self.outcomes if outcome.error] + ([str(self._error)] if self._error else [])
        with ledger_change(self._settings, self._bucket) as change:
            before = change.ledger
            if not failures:
                update = {"failing_since": None, "problem": "", "told_at": None, "succeeded_at": now}
            else:
                due = before.told_at is None or now - before.told_at >= _TOLD_AGAIN
                update = {
                    "failing_since": before.failing_since or now,
                    "problem": failures[0],
                    "told_at": now if due else before.told_at,
                }
            change.ledger = before.model_copy(update={**update, "told_losses": tuple(self._lost)})
            tell = set(self._lost) - set(before.told_losses) or (failures and change.ledger.told_at == now)
        return tell_sync_failed(self._store.where, [*self._lost, *failures], self._settings) if tell else ()

    def _ledger(self) -> Ledger:
        return read_ledger(self._settings, self._bucket)

    def _waiting(self, asked: Collection[str] = ()) -> tuple[LocalCopy, ...]:
        backups = local_store(self._settings).backups()
        return waiting_for(self._ledger(), backups, datetime.now(UTC), self._settings.retention_days, asked)

    def _claim(self, waiting: Sequence[LocalCopy]) -> None:
        if not waiting and not self._request.adopt:
            self._store.require_ours(machine_id(self._settings.state_dir))
            return
        clusters = {manifest.cluster.label: manifest.cluster.system_identifier for manifest in _readable(waiting)}
        self._store.claim(machine_id(self._settings.state_dir), clusters.items(), adopt=self._request.adopt)

    def _reckon(self, listing: Listing) -> None:
        """Hold the store against the ledger: what is lost is named and sent again where it can be, what is unknown is looked at."""
        listed = {(copy.cluster, copy.backup_id): {name: found.size for name, found in copy.objects.items()} for copy in listing.copies}
        with ledger_change(self._settings, self._bucket) as change:
            found = hold_against(
                change.ledger, listed, datetime.now(UTC), self._settings.retention_days, store_expires=not self._store.may_delete
            )
            losses = [loss for loss in found.losses if not self._is_there(loss.copy)]
            for loss in losses:
                text = f"the copy of backup {loss.copy.backup_id} in {self._store.where} is lost: {loss.what}"
                self._lost.append(text)
                log.error("a copy is lost", store=self._name, backup_id=loss.copy.backup_id, what=loss.what)
            change.ledger = change.ledger.without([*(loss.copy for loss in losses), *found.expired])
            by_place = {(copy.cluster, copy.backup_id): copy for copy in listing.copies}
            for place in found.unknown:
                record = self._examined(by_place[place])
                if record is not None:
                    change.ledger = change.ledger.with_copy(record)

    def _is_there(self, record: CopyRecord) -> bool:
        """Ask for each object of a copy that the listing did not have as it was: a listing may come late."""
        try:
            copy = self._store.copy(record.cluster, record.database, record.backup_id, record.objects)
        except ObjectGoneError:
            return False
        return {name: found.size for name, found in copy.objects.items()} == record.objects

    def _examined(self, copy: CloudCopy) -> CopyRecord | None:
        """Return what is to be known of a copy that the ledger does not know: a sync may have been killed before it wrote that down."""
        try:
            copy.require_complete()
            return record_of(copy, None, datetime.now(UTC))
        except IntegrityError as error:
            text = f"the copy of backup {copy.backup_id} in {self._store.where} cannot be believed: {error}"
            self._lost.append(text)
            log.error("a copy cannot be believed", store=self._name, backup_id=copy.backup_id, error=str(error))
            return None

    def _copy(self, backup: LocalCopy) -> bool:
        began = time.monotonic()
        outcome = SyncOutcome(store=self._name, database=backup.database, backup_id=backup.backup_id, status="done")
        try:
            with backup.being_read():
                predecessor = self._ledger().predecessor(backup.cluster, backup.database, backup.created_at)
                copy = self._sender.send(backup, predecessor, self._progress)
                if pin := backup.pin():
                    copy.keep_pin(pin)
            seconds = time.monotonic() - began
            with ledger_change(self._settings, self._bucket) as change:
                change.ledger = change.ledger.with_copy(record_of(copy, round(seconds, 3), datetime.now(UTC)))
        except Exception as error:  # noqa: BLE001 - a damaged backup never keeps the others here
            info = as_error_info(error, f"copying {backup.backup_id}")
            log.error("copy failed", store=self._name, backup_id=backup.backup_id, error=str(info))
            if isinstance(error, IntegrityError):
                self.outcomes.append(outcome.model_copy(update={"status": "failed", "error": info, "seconds": time.monotonic() - began}))
            else:
                # The same would happen to the next one.
                self._error = info
            return False
        log.info("copied", store=self._name, backup_id=backup.backup_id, size_bytes=copy.header.size_bytes, seconds=round(seconds, 1))
        self.outcomes.append(outcome.model_copy(update={"size_bytes": copy.header.size_bytes, "seconds": seconds}))
        return True


def _readable(backups: Sequence[LocalCopy]) -> Iterator[Manifest]:
    for backup in backups:
        try:
            yield backup.manifest()
        except IntegrityError:
            continue
