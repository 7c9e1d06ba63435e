"""Remove copies off site whose time is over, never the last good ones, and never while copying fails."""

from dataclasses import dataclass
from datetime import datetime

from pgkeeper.host.identity import machine_id
from pgkeeper.host.logs import log
from pgkeeper.model.ledger import as_sent
from pgkeeper.off_site_settings import BucketSettings
from pgkeeper.operations.expiry import DatabaseExpiry, Expiry, decide_all
from pgkeeper.operations.failures import as_error_info
from pgkeeper.operations.off_site import cloud_store, ledger_change, off_site_lock, read_ledger
from pgkeeper.settings import Settings
from pgkeeper.stores.cloud import CloudStore
from pgkeeper.stores.cloud_copy import CloudCopy


@dataclass(frozen=True)
class OffSiteExpiry:
    """What happened to the copies in one store; `removed` are the ids of their backups."""

    databases: tuple[DatabaseExpiry, ...] = ()
    removed: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def expire_off_site(bucket: BucketSettings, settings: Settings, now: datetime, held_back: str, *, dry_run: bool) -> OffSiteExpiry:
    """Remove what retention lets go in one store. What can't be done is a problem, not an error.

    Nothing is removed while `held_back` says why, nor while the newest backups could not be copied there.
    """
    try:
        store = cloud_store(settings, bucket)
        reason = held_back or _failing(bucket, settings)
        if dry_run:
            return _told(_decided(store, bucket, settings, now, reason))
        store.require_ours(machine_id(settings.state_dir))
        with off_site_lock(settings, bucket.store):
            expiries = _decided(store, bucket, settings, now, reason)
            for expiry in expiries:
                expiry.carry_out(store)
            removed = {(expiry.cluster, backup_id) for expiry in expiries for backup_id in expiry.removed}
            with ledger_change(settings, bucket) as change:
                gone = [copy for copy in change.ledger.copies if (copy.cluster, copy.backup_id) in removed]
                change.ledger = change.ledger.without(gone)
        return _told(expiries)
    except Exception as error:  # noqa: BLE001 - one store never stands in the way of the others
        problem = str(as_error_info(error, f"expiry of the copies in {bucket.store}"))
        log.error("copies not expired", store=bucket.store, error=problem)
        return OffSiteExpiry(problems=(problem,))


def _failing(bucket: BucketSettings, settings: Settings) -> str:
    ledger = read_ledger(settings, bucket)
    if ledger.foreign:
        return f"in its place lie copies that this host did not send, {ledger.foreign[0]} for one: `pgkeeper sync` says what to do"
    if ledger.failing_since is None:
        return ""
    return f"copies could not be made since {ledger.failing_since:%Y-%m-%d %H:%M} UTC: {ledger.problem}"


def _decided(store: CloudStore, bucket: BucketSettings, settings: Settings, now: datetime, held_back: str) -> list[Expiry]:
    records = {(record.cluster, record.backup_id): record for record in read_ledger(settings, bucket).copies}

    def unchanged(copy: CloudCopy) -> bool:
        """Tell whether the listing shows the copy as it was sent: a request for each header would take minutes."""
        record = records.get((copy.cluster, copy.backup_id))
        return record is not None and as_sent(record, {name: (found.size, found.modified_at) for name, found in copy.objects.items()})

    return list(decide_all(store.name, store.backups(), now, settings.off_site_retention, held_back, unchanged))


def _told(expiries: list[Expiry]) -> OffSiteExpiry:
    return OffSiteExpiry(
        databases=tuple(expiry.report() for expiry in expiries),
        removed=tuple(backup_id for expiry in expiries for backup_id in expiry.removed),
        problems=tuple(problem for expiry in expiries for problem in expiry.problems),
    )
