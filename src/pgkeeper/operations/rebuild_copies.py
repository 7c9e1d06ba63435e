"""Know again what is off site, from the bucket alone: on a host that lost its state, or on a new one."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime

from pgkeeper.host.identity import host_identity, machine_id, take_identity
from pgkeeper.host.logs import log
from pgkeeper.model.copy import StoreName, missing_predecessors
from pgkeeper.model.errors import IntegrityError, RefusedError, UsageError
from pgkeeper.off_site_settings import OffSite
from pgkeeper.operations.copy_record import record_of
from pgkeeper.operations.manifest_facts import ManifestFacts, known_facts, manifest_path
from pgkeeper.operations.off_site import bucket_settings, cloud_store, ledger_change
from pgkeeper.operations.places import local_store
from pgkeeper.operations.rebuild_catalog import tell_expiry
from pgkeeper.operations.reports import Message
from pgkeeper.settings import Settings
from pgkeeper.stores.cloud import CloudStore
from pgkeeper.stores.cloud_copy import CloudCopy


class RebuildCopiesReport(Message):
    """What was found in a store: how many copies, of which host, and the newest of each database.

    `adopted` says that this host goes on as that one. `problems` names copies that can't be believed, `warnings` those that are not there
    although others follow them and their time is not over.
    """

    store: StoreName
    where: str
    host: str
    adopted: bool
    copies: int
    newest: dict[str, datetime]
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def exit_status(self) -> int:
        """Return 4 when a copy could not be believed."""
        return IntegrityError.exit_status if self.problems else 0


def rebuild_copies(settings: Settings, store: OffSite, host: str = "", *, adopt: bool = False) -> RebuildCopiesReport:
    """Read the headers of all copies of this host in a store, or of another one named `host`; put what they say into catalog and ledger.

    Nothing is written to the bucket, unless `adopt` makes this host go on as `host`. Raises UsageError when there is nothing of that host,
    RefusedError when this host has backups under its own name already.
    """
    own = host_identity(settings.state_dir)
    found = cloud_store(settings, bucket_settings(settings, store), host)
    copies = found.backups()
    if not copies:
        others = ", ".join(found.hosts()) or "nothing"
        raise UsageError(f"there is no copy of host {found.host} in {found.bucket.name}", f"there is {others}", "say which with --host")
    if adopt and found.host != own:
        if local_store(settings).backups():
            raise RefusedError(f"this host cannot go on as {found.host}", f"it has backups as {own}", "adopt on a host without any")
        take_identity(settings.state_dir, found.host)
        found = cloud_store(settings, bucket_settings(settings, store))
        copies = found.backups()
    tell_expiry(settings)
    problems = _examine(found, store, settings)
    if adopt:
        clusters = {copy.cluster: copy.manifest().cluster.system_identifier for copy in reversed(copies)}
        found.claim(machine_id(settings.state_dir), clusters.items(), adopt=True)
    newest: dict[str, datetime] = {}
    for copy in copies:
        newest.setdefault(copy.database, copy.created_at)
    log.info("copies read", store=store, host=found.host, copies=len(copies), problems=len(problems), adopted=adopt)
    return RebuildCopiesReport(
        store=store,
        where=found.where,
        host=found.host,
        adopted=adopt,
        copies=len(copies),
        newest=newest,
        problems=problems,
        warnings=_missing(copies, settings),
    )


def _missing(copies: Iterable[CloudCopy], settings: Settings) -> tuple[str, ...]:
    headers = []
    for copy in copies:
        # Those that can't be read are problems already.
        with suppress(IntegrityError):
            headers.append(copy.header)
    return tuple(
        f"there is no copy {predecessor}, which {backup_id} follows: it was removed before its time"
        for backup_id, predecessor in missing_predecessors(headers, datetime.now(UTC), settings.retention_days)
    )


def _examine(found: CloudStore, store: OffSite, settings: Settings) -> tuple[str, ...]:
    copies = found.backups()
    facts = known_facts(settings, copies, everything=False)
    problems = [str(said) for copy in copies if not isinstance(said := facts[manifest_path(copy)], ManifestFacts)]
    if not found.own:
        return tuple(problems)
    with ledger_change(settings, bucket_settings(settings, store)) as change:
        records = []
        for copy in copies:
            try:
                copy.require_complete()
                records.append(record_of(copy, None, datetime.now(UTC)))
            except IntegrityError as error:
                problems.append(f"{copy.backup_id}: {error}")
        change.ledger = change.ledger.model_copy(update={"copies": tuple(records), "foreign": ()})
    return tuple(dict.fromkeys(problems))
