"""Try every store off site as a backup would use it: keys, an object written, read and removed, and both clocks.

Whatever a store does, or does not, it is done with in a minute: a connection that hangs, or gives a byte now and then, ends by no time-out
of its own.
"""

import secrets
import time
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue

from pgkeeper.model.bounds import bounded
from pgkeeper.model.durations import format_duration
from pgkeeper.model.errors import IntegrityError, PgkeeperError
from pgkeeper.off_site_settings import BucketSettings
from pgkeeper.operations.findings import Finding, problem_found
from pgkeeper.operations.off_site import cloud_store, read_ledger
from pgkeeper.settings import Settings
from pgkeeper.stores.aside import aside
from pgkeeper.stores.cloud import CloudStore
from pgkeeper.stores.patience import Patience

# Providers refuse requests that are fifteen minutes off; a clock that is off at all will get there.
_SKEW_SECONDS = 60
_SECONDS = 60.0
# What lasts longer is trouble that its owner should hear of, and each piece of work has its own.
_PATIENCE = Patience(seconds=15)
Doing = Callable[[str], None]
"""Is told what is tried next."""


def examine_off_site(settings: Settings) -> Iterator[Finding]:
    """Yield what there is to say about each store off site. Where there is none, that."""
    if not settings.buckets:
        text = "no copies off site: whoever or whatever takes this host takes its backups, too"
        yield Finding(level="warning", subject="cloud", text=text, hint="docs/cloud-setup.md says how to set them up")
    for bucket in settings.buckets:
        yield from _in_time(bucket, settings)


def _in_time(bucket: BucketSettings, settings: Settings) -> Iterator[Finding]:
    """Yield what is found out about a store within a minute, and what it was at then."""
    found: SimpleQueue[Finding | None] = SimpleQueue()
    doing = [""]

    def examine() -> None:
        try:
            store = cloud_store(settings, bucket, patience=_PATIENCE)
            for finding in _examine(store, bucket, settings, doing.append):
                found.put(finding)
        except PgkeeperError as error:
            found.put(problem_found(bucket.store, error))

    deadline = time.monotonic() + _SECONDS
    outcome = aside(examine, ended=lambda: found.put(None))
    try:
        while (finding := found.get(timeout=max(0.0, deadline - time.monotonic()))) is not None:
            yield finding
    except Empty:
        text = f"{bucket.bucket} at {bucket.endpoint_url or bucket.provider} did not answer within {_SECONDS:.0f} seconds: {doing[-1]}"
        hint = "check this host's way to the internet, then ask the provider"
        yield Finding(level="problem", subject=bucket.store, text=text, hint=hint)
    else:
        outcome.result()


def _examine(store: CloudStore, bucket: BucketSettings, settings: Settings, doing: Doing) -> Iterator[Finding]:
    doing("open the keys")
    sealer = store.keys.sealer()
    doing("ask for the time")
    skew = store.bucket.clock_skew()
    if abs(skew) > _SKEW_SECONDS:
        side = "ahead of" if skew > 0 else "behind"
        text = f"this host's clock is {format_duration(abs(skew))} {side} that of {bucket.provider}"
        yield Finding(level="problem", subject=bucket.store, text=text, hint="let it be set by NTP: requests with a wrong time are refused")
    _try(store, doing)
    rights = "written, read and removed" if store.may_delete else "written and read"
    yield Finding(level="ok", subject=bucket.store, text=f"{store.where}: an object was {rights}")
    opener = store.keys.opener(sealer.method, sealer.key_id)
    signer = store.keys.signer()
    text = f"copies are encrypted with {sealer.method}, key {sealer.key_id}" + (f", and signed by {signer}" if signer else "")
    if opener.can_decrypt:
        yield Finding(level="ok", subject=bucket.store, text=text)
    else:
        text += "; this host cannot read them itself"
        yield Finding(level="ok", subject=bucket.store, text=text, hint="BACKUP_AGE_IDENTITY_FILE is needed for a restore from them")
    ledger = read_ledger(settings, bucket)
    if ledger.failing_since is not None:
        text = f"copies could not be made since {ledger.failing_since:%Y-%m-%d %H:%M} UTC: {ledger.problem}"
        yield Finding(level="warning", subject=bucket.store, text=text, hint="if all else here is well, `pgkeeper sync` catches up")


def _try(store: CloudStore, doing: Doing) -> None:
    """Do with an object what is done with copies. Raises PgkeeperError saying what can't be done."""
    key = f"{store.home}/.doctor"
    content = secrets.token_bytes(1024)
    doing("write an object")
    store.bucket.put(key, content)
    doing("read it")
    what = f"{store.bucket.name}/{key}"
    if b"".join(bounded(store.bucket.read(key), len(content), what)) != content:
        raise IntegrityError(f"{what} is not what was just written", "", "ask the provider")
    doing("begin an upload in parts, and give it up")
    upload = store.bucket.begin_upload(key)
    store.bucket.abort_upload(key, upload)
    if store.may_delete:
        doing("remove the object")
        store.bucket.delete(key)
