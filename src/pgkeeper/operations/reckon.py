"""Hold a store off site against the ledger: what is lost is named, and what is unknown looked at."""

from dataclasses import dataclass
from datetime import UTC, datetime

from pgkeeper.host.logs import log
from pgkeeper.model.errors import IntegrityError
from pgkeeper.model.ledger import CopyRecord, hold_against
from pgkeeper.off_site_settings import BucketSettings
from pgkeeper.operations.copy_record import record_of
from pgkeeper.operations.off_site import ledger_change
from pgkeeper.operations.places import local_store
from pgkeeper.settings import Settings
from pgkeeper.stores.bucket import ObjectGoneError
from pgkeeper.stores.cloud import CloudStore, Listing
from pgkeeper.stores.cloud_copy import CloudCopy
from pgkeeper.stores.local_copy import LocalCopy


@dataclass(frozen=True)
class Missing:
    """Copies that are lost or not believed: a line each for people, and what is wrong by cluster and backup id.

    `foreign` are copies in this host's place that it did not send.
    """

    lines: tuple[str, ...]
    reasons: dict[tuple[str, str], str]
    foreign: tuple[CloudCopy, ...]


def reckon(store: CloudStore, bucket: BucketSettings, listing: Listing, settings: Settings, *, adopt: bool) -> Missing:
    """Bring the ledger in line with `listing`, and return what was lost, can't be believed, or is not ours.

    What is lost is then waiting again, where the host still has it. A copy that the ledger does not know is ours where the ledger knows
    nothing at all (it was lost), where this host has the very backup (a sync was killed before it wrote the copy down), and where its owner
    says so (`adopt`). Any other was sent by somebody else under this host's name: by a clone of it, or by the original.
    """
    now = datetime.now(UTC)
    reasons: dict[tuple[str, str], str] = {}
    by_place = {(copy.cluster, copy.backup_id): copy for copy in listing.copies}
    listed = {place: copy.sizes for place, copy in by_place.items()}
    told = []
    foreign = []
    with ledger_change(settings, bucket) as change:
        all_ours = adopt or change.ledger.knows_nothing
        found = hold_against(change.ledger, listed, now, settings.retention_days, store_expires=not store.may_delete)
        losses = [loss for loss in found.losses if not _is_there(store, loss.copy)]
        for loss in losses:
            told.append(f"the copy of backup {loss.copy.backup_id} in {store.where} is lost: {loss.what}")
            reasons[loss.copy.cluster, loss.copy.backup_id] = loss.what
            log.error("a copy is lost", store=store.name, backup_id=loss.copy.backup_id, what=loss.what)
        change.ledger = change.ledger.without([*(loss.copy for loss in losses), *found.expired])
        examined = []
        here = {(backup.cluster, backup.backup_id): backup for backup in local_store(settings).backups()} if found.unknown else {}
        for place in found.unknown:
            try:
                record = _examined(by_place[place], now)
                if all_ours or _is_of(here.get(place), record):
                    examined.append(record)
                else:
                    foreign.append(by_place[place])
            except IntegrityError as error:
                told.append(f"the copy of backup {by_place[place].backup_id} in {store.where} cannot be believed: {error}")
                reasons[place] = str(error)
                log.error("a copy cannot be believed", store=store.name, backup_id=by_place[place].backup_id, error=str(error))
        ids = tuple(copy.backup_id for copy in foreign)
        change.ledger = change.ledger.with_copies(examined).model_copy(update={"foreign": ids, "looked_at": now})
    if foreign:
        log.error("there are copies that this host did not send", store=store.name, backups=ids)
    return Missing(tuple(told), reasons, tuple(foreign))


def _is_of(backup: LocalCopy | None, record: CopyRecord) -> bool:
    """Tell whether a copy is one of this very backup."""
    try:
        return backup is not None and backup.manifest_sha256() == record.manifest_sha256
    except IntegrityError:
        return False


def _is_there(store: CloudStore, record: CopyRecord) -> bool:
    """Ask for each object of a copy that the listing did not have as it was: a listing may come late."""
    try:
        copy = store.copy(record.cluster, record.database, record.backup_id, record.objects)
    except ObjectGoneError:
        return False
    return copy.sizes == record.objects


def _examined(copy: CloudCopy, now: datetime) -> CopyRecord:
    """Return what is to be known of a copy that the ledger does not know: a sync may have been killed before it wrote that down."""
    copy.require_complete()
    return record_of(copy, None, now)
