"""Numbers about databases and backups: how large, how fast they grow, how old the last backup, how late copies, how full the disk is."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pgkeeper.host.disk_space import used_percent
from pgkeeper.model.errors import PgkeeperError
from pgkeeper.model.growth import growth_per_day, newest_of_each_day
from pgkeeper.off_site_settings import OffSite
from pgkeeper.operations.listing import BackupSummary, list_backups
from pgkeeper.operations.off_site import known_off_site
from pgkeeper.operations.places import local_store, server
from pgkeeper.operations.reports import Message
from pgkeeper.operations.size_history import remember_look, size_history
from pgkeeper.operations.waiting import waiting_for
from pgkeeper.postgres.facts import database_statistics, databases_to_back_up, identify
from pgkeeper.postgres.server import require_superuser, told
from pgkeeper.settings import Settings

_PERIODS = {"daily": 1, "weekly": 7, "monthly": 30}
_SHOWN = timedelta(days=90)


class LastBackup(Message):
    """The newest backup of a database."""

    backup_id: str
    created_at: datetime
    age_seconds: float
    size_bytes: int | None
    seconds: float | None


class MeasuredSize(Message):
    """How large a database was."""

    at: datetime
    bytes: int


class DatabaseStats(Message):
    """One database. `rows_estimate` is PostgreSQL's own estimate; `growth` bytes a period, as far as sizes are known.

    `history` holds the sizes of the last 90 days, the last of each day, oldest first. `problem` says why a database could not be measured;
    its numbers are then None.
    """

    database: str
    size_bytes: int | None
    tables: int | None
    rows_estimate: int | None
    growth: dict[str, int]
    history: tuple[MeasuredSize, ...]
    backups: int
    last_backup: LastBackup | None
    problem: str = ""


class StoreStats(Message):
    """A store off site, as far as this host knows. `waiting` backups are not there yet, the oldest of them for `lag_seconds`.

    `succeeded_at` is when copying last went well from beginning to end, None as long as it never did.
    """

    store: OffSite
    copies: int
    size_bytes: int
    waiting: int
    lag_seconds: float
    succeeded_at: datetime | None


class StatsReport(Message):
    """All databases of the cluster, the stores off site, and the disk that holds the backups."""

    cluster: str
    databases: tuple[DatabaseStats, ...]
    off_site: tuple[StoreStats, ...]
    backups_bytes: int
    disk_total_bytes: int
    disk_free_bytes: int
    disk_used_percent: float

    @property
    def exit_status(self) -> int:
        """Return 1 when a database could not be measured."""
        return int(any(database.problem for database in self.databases))


def stats(settings: Settings) -> StatsReport:
    """Measure now. Raises PgkeeperError when the server or the store can't be read."""
    backups = list_backups(settings)
    reached = server(settings)
    with reached.connect_maintenance() as session, told("looking at the cluster"):
        require_superuser(session)
        cluster = identify(session)
        names = settings.databases or databases_to_back_up(session)
    measured = []
    for name in names:
        own = [backup for backup in backups if (backup.cluster, backup.database) == (cluster.label, name)]
        try:
            with reached.connect(name) as session, told(f"measuring {name}"):
                numbers, problem = database_statistics(session), ""
        except PgkeeperError as error:
            numbers, problem = None, str(error)
        remembered = size_history(settings, cluster.label, name)
        measured.append(_database(name, numbers, own, remembered).model_copy(update={"problem": problem}))
    remember_look(settings, cluster.label, [(one.database, one.size_bytes) for one in measured if one.size_bytes is not None])
    usage = shutil.disk_usage(settings.dir if settings.dir.exists() else "/")
    return StatsReport(
        cluster=cluster.label,
        databases=tuple(measured),
        off_site=_off_site(settings),
        backups_bytes=sum(backup.size_bytes or 0 for backup in backups if "local" in backup.stores),
        disk_total_bytes=usage.total,
        disk_free_bytes=usage.free,
        disk_used_percent=round(used_percent(settings.dir if settings.dir.exists() else Path("/")), 1),
    )


def _off_site(settings: Settings) -> tuple[StoreStats, ...]:
    known = known_off_site(settings)
    backups = local_store(settings).backups() if known else ()
    now = datetime.now(UTC)
    found = []
    for store, ledger in known:
        waiting = waiting_for(ledger, backups, now, settings.retention_days)
        found.append(
            StoreStats(
                store=store,
                copies=len(ledger.copies),
                size_bytes=sum(copy.size_bytes for copy in ledger.copies),
                waiting=len(waiting),
                lag_seconds=round((now - waiting[0].created_at).total_seconds(), 1) if waiting else 0.0,
                succeeded_at=ledger.succeeded_at,
            )
        )
    return tuple(found)


def _database(
    name: str, numbers: tuple[int, int, int] | None, backups: list[BackupSummary], remembered: tuple[tuple[datetime, int], ...]
) -> DatabaseStats:
    now = datetime.now(UTC)
    size, tables, rows = numbers or (None, None, None)
    # Manifests as well: the catalog may be new, or not there.
    known = dict(remembered) | {backup.created_at: backup.database_bytes for backup in backups if backup.database_bytes is not None}
    if size is not None:
        known[now] = size
    sizes = sorted((at, size) for at, size in known.items() if at <= now)
    growth = {}
    for period, days in _PERIODS.items():
        rate = growth_per_day(sizes, since=now - timedelta(days=days))
        if rate is not None:
            growth[period] = round(rate * days)
    last = None
    if backups:
        # One from the future tells nothing about how old the last backup is.
        newest = next((backup for backup in backups if backup.created_at <= now), backups[0])
        last = LastBackup(
            backup_id=newest.backup_id,
            created_at=newest.created_at,
            age_seconds=round((now - newest.created_at).total_seconds(), 1),
            size_bytes=newest.size_bytes,
            seconds=newest.seconds,
        )
    return DatabaseStats(
        database=name,
        size_bytes=size,
        tables=tables,
        rows_estimate=rows,
        growth=growth,
        history=tuple(MeasuredSize(at=at, bytes=size) for at, size in newest_of_each_day(sizes, since=now - _SHOWN)),
        backups=len(backups),
        last_backup=last,
    )
