"""Copy backups off site: every one that is not there yet, the oldest first, and look whether what was sent is still there, and right."""

import time
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

from pgkeeper.host.identity import machine_id
from pgkeeper.host.locks import exclusive
from pgkeeper.host.logs import log
from pgkeeper.model.errors import ErrorInfo, IntegrityError, RefusedError
from pgkeeper.model.ledger import Ledger
from pgkeeper.model.manifest import Manifest
from pgkeeper.model.progress import Progress
from pgkeeper.off_site_settings import BucketSettings, OffSite
from pgkeeper.operations.copy_record import record_of
from pgkeeper.operations.damaged_copies import DamagedCopy, Stays, damaged_copies, replacement
from pgkeeper.operations.failures import as_error_info
from pgkeeper.operations.off_site import cloud_store, ledger_change, read_ledger
from pgkeeper.operations.places import local_store
from pgkeeper.operations.reckon import reckon
from pgkeeper.operations.reports import Message, shared_status
from pgkeeper.operations.tell_owner import tell_sync_failed
from pgkeeper.operations.waiting import waiting_for
from pgkeeper.settings import Settings
from pgkeeper.stores.bandwidth import Bandwidth
from pgkeeper.stores.cloud import CloudStore
from pgkeeper.stores.local_copy import LocalCopy
from pgkeeper.stores.send import FOREIGN_HINT, ForeignCopyError, Sender
from pgkeeper.stores.upload import Limits

_TOLD_AGAIN = timedelta(hours=24)


class SyncRequest(Message):
    """Copy what is missing off site; with `backups` only those, by their ids.

    `wait`: how long to wait for a sync that runs. `adopt`: take over another machine's place.
    """

    backups: tuple[str, ...] = ()
    wait: timedelta = timedelta()
    adopt: bool = False


class SyncOutcome(Message):
    """How it went with one backup in one store. `size_bytes` is that of its encrypted files.

    `again` is why a copy that was there once is sent again, "" for a first one.
    """

    store: OffSite
    database: str
    backup_id: str
    status: Literal["done", "failed"]
    again: str = ""
    size_bytes: int | None = None
    seconds: float = 0.0
    error: ErrorInfo | None = None


class StoreSync(Message):
    """How a store stands at the end. `waiting` backups are not there yet, the oldest of them for `lag_seconds`.

    `lost` names copies that were there and are not any more, or not whole; `damaged` those that a check found wrong, and that were not sent
    again, with the reason; `foreign` those in this host's place that it did not send. `error` is why the store as a whole could not be
    used.
    """

    store: OffSite
    where: str
    copies: int
    size_bytes: int
    waiting: int
    lag_seconds: float
    lost: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    error: ErrorInfo | None = None


class SyncReport(Message):
    """What was copied, and how each store stands."""

    outcomes: tuple[SyncOutcome, ...]
    stores: tuple[StoreSync, ...]
    warnings: tuple[str, ...] = ()

    @property
    def exit_status(self) -> int:
        """Return 0 when everything is off site and whole, 4 when a copy is lost or damaged, and 6 when there are copies of somebody else.

        Else the status all failures share, or 1.
        """
        if any(store.lost or store.damaged for store in self.stores):
            return IntegrityError.exit_status
        if any(store.foreign for store in self.stores):
            return RefusedError.exit_status
        return shared_status([*(outcome.error for outcome in self.outcomes), *(store.error for store in self.stores)])


def sync(request: SyncRequest, settings: Settings, progress: Progress) -> SyncReport:
    """Copy to every store off site what is missing there, and replace what a check found damaged there.

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
        bandwidth = Bandwidth(settings.cloud_upload_limit) if settings.cloud_upload_limit else None
        limits = Limits(bandwidth, self._ledger().most_parts, self._note_part_limit)
        self._sender = Sender(store, settings.state_dir / "off-site" / f"{bucket.store}-on-its-way", limits)
        self._error: ErrorInfo | None = None
        self._lost: list[str] = []
        self._again: dict[tuple[str, str], str] = {}
        self._damaged: dict[str, str] = {}
        self._foreign: list[str] = []
        self.outcomes: list[SyncOutcome] = []

    def run(self) -> None:
        """Look, and copy what is missing until nothing is. What goes wrong is remembered for the report."""
        try:
            self._claim(self._waiting(self._request.backups))
            listing = self._store.listing()
            missing = reckon(self._store, self._bucket, listing, self._settings, adopt=self._request.adopt)
            self._lost, self._again = list(missing.lines), missing.reasons
            self._foreign = [f"this host did not send the copy {copy.where}: {FOREIGN_HINT}" for copy in missing.foreign]
            folders = {copy.folder for copy in missing.foreign}
            ours = [copy for copy in listing.copies if copy.folder not in folders]
            damaged = damaged_copies(ours, self._sender, local_store(self._settings).backups(), self._request.backups)
            self._damaged = {
                one.copy.folder: self._stays(one, Stays("it was not sent again yet", "the next `pgkeeper sync` does")) for one in damaged
            }
            still_wanted = [one.backup for one in damaged if one.backup is not None]
            self._sender.forget_others([*self._waiting(), *self._waiting(self._request.backups), *still_wanted])
            if not missing.foreign:
                # Else what looks left over may be on its way from somebody else.
                self._store.sweep(listing.strays, self._sender.under_way)
            tried: set[tuple[str, str]] = set()
            # Copying may take hours, in which the next backup is made.
            while waiting := [one for one in self._waiting(self._request.backups) if (one.cluster, one.backup_id) not in tried]:
                for backup in waiting:
                    tried.add((backup.cluster, backup.backup_id))
                    # Others are removed meanwhile, or found damaged.
                    if backup.whole():
                        self._copy(backup)
                    if self._error is not None:
                        return
            # Last: what was never there is more urgent.
            for one in damaged:
                # One that was lost, too, is there again.
                if one.copy.folder in self._damaged:
                    self._replace(one)
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
            damaged=tuple(self._damaged.values()),
            foreign=tuple(self._foreign),
            error=self._error,
        )

    def remember_and_tell(self) -> tuple[str, ...]:
        """Remember whether it went well. Tells the owner of what is new, and each day of what still fails; returns warnings."""
        now = datetime.now(UTC)
        losses = (*self._lost, *self._damaged.values(), *self._foreign)
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
            change.ledger = before.model_copy(update={**update, "told_losses": losses})
            tell = set(losses) - set(before.told_losses) or (failures and change.ledger.told_at == now)
        return tell_sync_failed(self._store.where, [*losses, *failures], self._settings) if tell else ()

    def _note_part_limit(self, most: int) -> None:
        """Remember how many parts the provider takes: finding out again would cost as many."""
        log.warning("the provider takes fewer parts than others", store=self._name, parts=most)
        with ledger_change(self._settings, self._bucket) as change:
            change.ledger = change.ledger.model_copy(update={"most_parts": most})

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

    def _stays(self, damaged: DamagedCopy, stays: Stays) -> str:
        what = f"the copy of backup {damaged.copy.backup_id} in {self._store.where} is damaged, and stays"
        return str(ErrorInfo(what=what, why=f"{damaged.found}; {stays.why}", hint=stays.hint))

    def _replace(self, damaged: DamagedCopy) -> None:
        """Send a damaged copy again, from a backup whose contents were read and found right; otherwise name what keeps it as it is."""
        copy = damaged.copy
        backup = replacement(damaged, self._name, self._settings, self._progress, asked=bool(self._request.backups))
        if isinstance(backup, Stays):
            self._damaged[copy.folder] = self._stays(damaged, backup)
            log.error("a damaged copy stays", store=self._name, backup_id=copy.backup_id, found=damaged.found, why=backup.why)
            return
        self._again[copy.cluster, copy.backup_id] = damaged.found
        with ledger_change(self._settings, self._bucket) as change:
            # It counts for nothing until it is whole again.
            known = change.ledger.find(copy.cluster, copy.backup_id)
            change.ledger = change.ledger.without([known] if known else [])
        if not self._copy(backup):
            self._damaged[copy.folder] = self._stays(damaged, Stays("sending it again failed", "the next `pgkeeper sync` goes on"))

    def _copy(self, backup: LocalCopy) -> bool:
        began = time.monotonic()
        again = self._again.get((backup.cluster, backup.backup_id), "")
        outcome = SyncOutcome(store=self._name, database=backup.database, backup_id=backup.backup_id, status="done", again=again)
        try:
            with backup.being_read():
                predecessor = self._ledger().predecessor(backup.cluster, backup.database, backup.created_at)
                copy = self._sender.send(backup, predecessor, self._progress, again)
                if pin := backup.pin():
                    copy.keep_pin(pin)
            seconds = time.monotonic() - began
            with ledger_change(self._settings, self._bucket) as change:
                change.ledger = change.ledger.with_copy(record_of(copy, round(seconds, 3), datetime.now(UTC)))
        except Exception as error:  # noqa: BLE001 - a damaged backup never keeps the others here
            info = as_error_info(error, f"copying {backup.backup_id}")
            log.error("copy failed", store=self._name, backup_id=backup.backup_id, error=str(info))
            if isinstance(error, IntegrityError | ForeignCopyError):
                self.outcomes.append(outcome.model_copy(update={"status": "failed", "error": info, "seconds": time.monotonic() - began}))
            else:
                # The same would happen to the next one.
                self._error = info
            return False
        self._damaged.pop(copy.folder, None)
        done = {"store": self._name, "backup_id": backup.backup_id, "size_bytes": copy.header.size_bytes, "seconds": round(seconds, 1)}
        if again:
            log.warning("copied again", **done, why=again)
        else:
            log.info("copied", **done)
        self.outcomes.append(outcome.model_copy(update={"size_bytes": copy.header.size_bytes, "seconds": seconds}))
        return True


def _readable(backups: Sequence[LocalCopy]) -> Iterator[Manifest]:
    for backup in backups:
        try:
            yield backup.manifest()
        except IntegrityError:
            continue
