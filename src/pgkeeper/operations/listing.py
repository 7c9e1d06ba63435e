"""Say what backups there are: works while the server is down, and asks nobody far away unless that is wanted."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import Field

from pgkeeper.model.copy import StoreName
from pgkeeper.model.errors import IntegrityError, PgkeeperError
from pgkeeper.model.ledger import CopyRecord, Ledger, not_as_sent
from pgkeeper.model.manifest import Manifest
from pgkeeper.model.proof import Level
from pgkeeper.off_site_settings import OffSite
from pgkeeper.operations.manifest_facts import Facts, ManifestFacts, fresh_facts, known_facts, manifest_path
from pgkeeper.operations.off_site import known_off_site
from pgkeeper.operations.places import copies_in, local_store, one_backup
from pgkeeper.operations.replacements import replacements
from pgkeeper.operations.reports import Message
from pgkeeper.settings import Settings
from pgkeeper.stores.cloud_copy import CloudCopy
from pgkeeper.stores.copy import Copy


class BackupSummary(Message):
    """One backup in a list; `stores` says where it has copies; `path` is where it lies on this host, or the first store's name.

    `problem` says why its manifest can't be read (then what stands in it is missing here), or what a check found wrong with its bytes or
    contents; `difference` what only a restore showed, while its contents are right. `pin_problem` says why the pin of a pinned backup can't
    be believed. Of one that is only off site is told what the ledger knows. `seen` says when each store off site was last seen to have its
    copy: nobody far away is asked for a list of all. `replaced_at` is when a replacement or an undoing first put another database in
    the place of the one that it was made of.
    """

    backup_id: str
    database: str
    cluster: str
    created_at: datetime
    path: str
    stores: tuple[StoreName, ...]
    seconds: float | None = None
    size_bytes: int | None = None
    database_bytes: int | None = None
    tables: int | None = None
    rows: int | None = None
    made_by: str | None = None
    server_version: str | None = None
    verified: dict[Level, datetime]
    pinned: bool = False
    pin_reason: str = ""
    pin_problem: str = ""
    warnings: tuple[str, ...] = ()
    problem: str = ""
    difference: str = ""
    seen: dict[OffSite, datetime] = Field(default_factory=dict)
    replaced_at: datetime | None = None


def list_backups(settings: Settings, databases: tuple[str, ...] = ()) -> tuple[BackupSummary, ...]:
    """Return the backups of this host, newest first; with `databases` only theirs. Raises OperationFailed when the store can't be read.

    The directories say which there are, and the ledgers which copies are off site: nobody far away is asked. What stands in a manifest may
    come from the catalog.
    """
    found = [backup for backup in local_store(settings).backups() if not databases or backup.database in databases]
    here = _summaries(found, known_facts(settings, found, everything=not databases), ("local",))
    return _with_replacements(with_copies(here, known_off_site(settings), databases), settings)


def list_copies(settings: Settings, source: StoreName, host: str = "", databases: tuple[str, ...] = ()) -> tuple[BackupSummary, ...]:
    """Return the copies in one store, newest first, of this host or another one: for those off site the bucket is asked.

    A copy of this host that is listed otherwise than it was sent has that for a problem.
    """
    store = copies_in(settings, source, host)
    now = datetime.now(UTC)
    found = [backup for backup in store.backups() if not databases or backup.database in databases]
    summaries = _summaries(found, known_facts(settings, found, everything=False), (source,))
    if source == "local":
        return _with_replacements(summaries, settings)
    ledger = Ledger() if host else dict(known_off_site(settings)).get(source, Ledger())
    sent = {(record.cluster, record.backup_id): record for record in ledger.copies}
    there = {(copy.cluster, copy.backup_id): copy.sizes for copy in found if isinstance(copy, CloudCopy)}
    listed = tuple(_as_listed(summary, sent, there, {source: now}) for summary in summaries)
    # The journals of replacements are those of this host.
    return listed if host else _with_replacements(listed, settings)


def _with_replacements(backups: tuple[BackupSummary, ...], settings: Settings) -> tuple[BackupSummary, ...]:
    done = [known for known in reversed(replacements(settings)) if known.step == "done"]

    def replaced_at(backup: BackupSummary) -> datetime | None:
        of_it = (known for known in done if known.database == backup.database)
        # What is saved just before is made after the journal begins.
        later = (known.begun_at for known in of_it if known.begun_at >= backup.created_at or known.saved_backup == backup.backup_id)
        return next(later, None)

    return tuple(backup.model_copy(update={"replaced_at": replaced_at(backup)}) for backup in backups) if done else backups


def _as_listed(
    summary: BackupSummary,
    sent: Mapping[tuple[str, str], CopyRecord],
    there: Mapping[tuple[str, str], Mapping[str, int]],
    seen: dict[OffSite, datetime],
) -> BackupSummary:
    """Return a copy with what its store's listing shows of it."""
    place = (summary.cluster, summary.backup_id)
    record = sent.get(place)
    missing = not_as_sent(record, there[place]) if record else ""
    return summary.model_copy(update={"seen": seen, "problem": summary.problem or missing})


def examine_backups(settings: Settings) -> tuple[BackupSummary, ...]:
    """Return what `list_backups` does, from the files alone: to find damage, not to be quick."""
    found = local_store(settings).backups()
    return _summaries(found, fresh_facts(found)[0], ("local",))


def show_backup(
    settings: Settings, backup: str, database: str | None = None, source: StoreName = "local", host: str = ""
) -> tuple[Copy, Manifest]:
    """Return where one backup (an id or `latest`) lies in a store, and its manifest.

    Raises UsageError or BackupGoneError (exit status 2) when there is none, IntegrityError when it is damaged.
    """
    found = one_backup(copies_in(settings, source, host), backup, database)
    return found, found.manifest()


def with_copies(
    here: Iterable[BackupSummary], ledgers: Iterable[tuple[OffSite, Ledger]], databases: tuple[str, ...]
) -> tuple[BackupSummary, ...]:
    """Return backups with the stores off site that have copies of them, and those that are only there."""
    merged = {(summary.cluster, summary.backup_id): summary for summary in here}
    for store, ledger in ledgers:
        for copy in ledger.copies:
            if databases and copy.database not in databases:
                continue
            known = merged.get((copy.cluster, copy.backup_id)) or _only_off_site(copy, store)
            merged[copy.cluster, copy.backup_id] = known.model_copy(
                update={"stores": (*known.stores, store), "seen": {**known.seen, store: ledger.seen_at(copy)}}
            )
    return tuple(sorted(merged.values(), key=lambda summary: (summary.created_at, summary.backup_id), reverse=True))


def _only_off_site(copy: CopyRecord, store: StoreName) -> BackupSummary:
    return BackupSummary(
        backup_id=copy.backup_id,
        database=copy.database,
        cluster=copy.cluster,
        created_at=copy.created_at,
        path=store,
        stores=(),
        size_bytes=copy.size_bytes,
        database_bytes=copy.database_bytes,
        tables=copy.tables,
        rows=copy.rows,
        verified=copy.verified,
    )


def _summaries(backups: Iterable[Copy], facts: Facts, stores: tuple[StoreName, ...]) -> tuple[BackupSummary, ...]:
    summaries = ((backup, _summary(backup, facts[manifest_path(backup)], stores)) for backup in backups)
    # One that is removed while we look was never meant to be seen damaged.
    return tuple(summary for backup, summary in summaries if not summary.problem or not backup.gone())


def _pin(backup: Copy) -> dict[str, Any]:
    try:
        pin = backup.pin()
    except IntegrityError as error:
        return {"pinned": True, "pin_problem": str(error)}
    return {"pinned": True, "pin_reason": pin.reason} if pin else {}


def _summary(backup: Copy, facts: ManifestFacts | PgkeeperError, stores: tuple[StoreName, ...]) -> BackupSummary:
    summary = BackupSummary(
        backup_id=backup.backup_id,
        database=backup.database,
        cluster=backup.cluster,
        created_at=backup.created_at,
        path=backup.where,
        stores=stores,
        verified=backup.verified(),
        **_pin(backup),
    )
    damage = backup.damage()
    if isinstance(facts, PgkeeperError):
        return summary.model_copy(update={"problem": str(facts)})
    found = {("difference" if damage.only_restore else "problem"): damage.found} if damage else {}
    return summary.model_copy(update={**dict(facts), **found})
