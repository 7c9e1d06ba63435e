"""From settings to the stores off site, and to what this host knows it has there."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path

from pydantic import ValidationError

from pgkeeper.host.durable import replace_file
from pgkeeper.host.identity import host_identity
from pgkeeper.host.locks import exclusive
from pgkeeper.host.logs import log
from pgkeeper.host.memory import give_back_large_buffers
from pgkeeper.host.seal import host_seal
from pgkeeper.model.errors import ConfigurationError, IntegrityError, OperationFailed
from pgkeeper.model.ledger import LABEL, Ledger
from pgkeeper.model.names import short_name
from pgkeeper.model.proof import Level
from pgkeeper.model.seal import Seal
from pgkeeper.off_site_settings import BucketSettings, OffSite
from pgkeeper.operations.settling import begin_settling
from pgkeeper.settings import Settings
from pgkeeper.stores.cloud import CloudStore
from pgkeeper.stores.copy import Copy
from pgkeeper.stores.patience import Patience

STORE_WAIT = timedelta(seconds=30)
_PATIENCE = Patience()


def cloud_store(settings: Settings, bucket: BucketSettings, host: str = "", patience: Patience = _PATIENCE) -> CloudStore:
    """Return the store in one bucket, of this host or of another one named `host`. Raises ConfigurationError for unusable keys.

    `patience` is for trouble that may pass.
    """
    from pgkeeper.crypto.ring import key_ring
    from pgkeeper.stores.s3 import S3Bucket

    give_back_large_buffers()
    own = host_identity(settings.state_dir)
    keys = key_ring(settings, settings.state_dir)
    return CloudStore(
        bucket.store,
        S3Bucket(bucket, patience),
        host or own,
        keys,
        settings.state_dir,
        may_delete=bucket.may_delete,
        own=(host or own) == own,
    )


def bucket_settings(settings: Settings, store: OffSite) -> BucketSettings:
    """Return the settings of one store off site. Raises ConfigurationError (exit status 3) where there is none."""
    for bucket in settings.buckets:
        if bucket.store == store:
            return bucket
    missing = "BACKUP_CLOUD_ENABLED is not true" if not settings.cloud_enabled else "BACKUP_REPLICA_PROVIDER is not set"
    raise ConfigurationError(f"there is no store {store}", missing, "docs/cloud-setup.md says how to set one up")


def off_site_lock(settings: Settings, store: OffSite, wait: timedelta = STORE_WAIT) -> AbstractContextManager[None]:
    """Return the lock of whoever removes or pins copies in a store. Entering raises BusyError (exit status 5) after `wait`."""
    return exclusive(settings.state_dir, f"store {store}", f"other work on the copies in {store}", wait, "try again when it has ended")


def read_ledger(settings: Settings, bucket: BucketSettings) -> Ledger:
    """Return what this host knows it has in a store, which may be nothing.

    What can't be believed is nothing, too; expiry then removes nothing for a day.
    """
    try:
        return _opened(settings, bucket)
    except (OSError, ValidationError, IntegrityError) as error:
        path = ledger_path(settings, bucket)
        log.warning("what is off site is not known any more", path=str(path), error=str(error).splitlines()[0])
        begin_settling(settings, f"what this host knew of its copies in {bucket.store} could not be read")
        path.rename(path.with_suffix(".unreadable"))
        return Ledger()


def known_off_site(settings: Settings) -> tuple[tuple[OffSite, Ledger], ...]:
    """Return what this host knows it has off site, store by store, without asking anybody. Changes nothing."""
    found = []
    for bucket in settings.buckets:
        try:
            found.append((bucket.store, _opened(settings, bucket)))
        except (OSError, ValidationError, IntegrityError) as error:
            log.warning("what is off site is not known", store=bucket.store, error=str(error).splitlines()[0])
            found.append((bucket.store, Ledger()))
    return tuple(found)


def _opened(settings: Settings, bucket: BucketSettings) -> Ledger:
    """Return a store's ledger, an empty one where there is none. Raises OSError, ValidationError or IntegrityError for an unusable one."""
    try:
        content = ledger_path(settings, bucket).read_bytes()
    except FileNotFoundError:
        return Ledger()
    return _believed(host_seal(settings.state_dir), content)


@lru_cache(maxsize=2)
def _believed(seal: Seal, content: bytes) -> Ledger:
    """Return the ledger in a file. One work asks for it many times, and with very many copies understanding it takes seconds."""
    return Ledger.model_validate(seal.open(LABEL, content))


def write_ledger(settings: Settings, bucket: BucketSettings, ledger: Ledger) -> None:
    """Write what this host knows it has in a store. Raises OperationFailed."""
    path = ledger_path(settings, bucket)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(path, host_seal(settings.state_dir).close(LABEL, ledger.model_dump(mode="json")))
    except OSError as error:
        raise OperationFailed(f"cannot write {path}", error.strerror or "", "BACKUP_STATE_DIR must have space") from error


def ledger_path(settings: Settings, bucket: BucketSettings) -> Path:
    """Return the file of a store's ledger: another place has another one, so that a wrong setting costs no knowledge of the right place."""
    place = "\0".join((bucket.endpoint_url, bucket.bucket, bucket.prefix, host_identity(settings.state_dir)))
    return settings.state_dir / "off-site" / f"{bucket.store}-{short_name(place)}.json"


@contextmanager
def ledger_change(settings: Settings, bucket: BucketSettings) -> "Iterator[LedgerChange]":
    """Let nobody else change a store's ledger for the length of the block; it is written at the end, unless the block fails."""
    with exclusive(settings.state_dir, f"ledger {bucket.store}", f"another change of the ledger of {bucket.store}", STORE_WAIT):
        before = read_ledger(settings, bucket)
        change = LedgerChange(before)
        yield change
        if change.ledger != before:
            write_ledger(settings, bucket, change.ledger)


@dataclass
class LedgerChange:
    """A ledger in somebody's hands; what is assigned to `ledger` is kept."""

    ledger: Ledger


def note_verified(settings: Settings, store: OffSite, backup: Copy, level: Level, at: datetime) -> None:
    """Remember that a copy passed a check, so that lists can say so without asking anybody. It decides nothing."""
    with ledger_change(settings, bucket_settings(settings, store)) as change:
        known = change.ledger.find(backup.cluster, backup.backup_id)
        if known is not None:
            change.ledger = change.ledger.with_copy(known.model_copy(update={"verified": {**known.verified, level: at}}))
