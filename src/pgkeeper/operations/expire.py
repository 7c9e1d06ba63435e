"""Remove backups whose time is over, never the last good ones."""

from datetime import UTC, datetime, timedelta

from pgkeeper.host.locks import exclusive
from pgkeeper.host.logs import log
from pgkeeper.model.errors import BusyError
from pgkeeper.model.retention import Held, decide
from pgkeeper.operations.jobs import forget_jobs
from pgkeeper.operations.places import local_store
from pgkeeper.operations.reports import Message
from pgkeeper.settings import Settings
from pgkeeper.stores.stored_backup import StoredBackup

_FRESH = timedelta(hours=28)
"""The strategy calls a backup overdue after 28 hours; from then on nothing is removed."""
_JOBS_KEPT = timedelta(days=30)


class ExpiryDecision(Message):
    """What happens to one backup, and why."""

    backup_id: str
    keep: bool
    reason: str


class DatabaseExpiry(Message):
    """What happens to the backups of one database; `refused` says why none is removed."""

    cluster: str
    database: str
    refused: str
    decisions: tuple[ExpiryDecision, ...]


class ExpireReport(Message):
    """What was removed, or with `dry_run` what would be; `problems` names what could not be."""

    dry_run: bool
    removed: tuple[str, ...]
    databases: tuple[DatabaseExpiry, ...]
    problems: tuple[str, ...] = ()

    @property
    def exit_status(self) -> int:
        """Return 1 when something could not be removed."""
        return int(bool(self.problems))


def expire(settings: Settings, *, dry_run: bool = False) -> ExpireReport:
    """Remove what retention lets go, database by database, and the records of jobs older than 30 days.

    A backup that can't be removed is in the report, and costs the others nothing. Raises BusyError when another expiry runs.
    """
    store = local_store(settings)
    databases = []
    removed: list[str] = []
    problems: list[str] = []
    with exclusive(settings.state_dir, f"expire {store.home.name}", "expiry"):
        groups: dict[tuple[str, str], dict[str, StoredBackup]] = {}
        for backup in store.backups():
            groups.setdefault((backup.cluster, backup.database), {})[backup.backup_id] = backup
        for (cluster, database), backups in sorted(groups.items()):
            held = [Held(backup.backup_id, backup.created_at, backup.readable()) for backup in backups.values()]
            verdict = decide(held, datetime.now(UTC), settings.local_retention_days, _FRESH)
            used = set()
            for backup_id in verdict.removed:
                try:
                    if not dry_run:
                        store.delete(backups[backup_id])
                        log.info("backup expired", backup_id=backup_id, days=settings.local_retention_days)
                except BusyError:
                    used.add(backup_id)
                except OSError as error:
                    problems.append(f"backup {backup_id} could not be removed: {error.strerror} ({error.filename})")
                    log.error("backup not expired", backup_id=backup_id, error=str(error))
                else:
                    removed.append(backup_id)
            if verdict.refused:
                log.warning("expiry refused", database=database, reason=verdict.refused)
            decisions = tuple(
                ExpiryDecision(backup_id=d.backup_id, keep=True, reason="it is being read")
                if d.backup_id in used
                else ExpiryDecision(backup_id=d.backup_id, keep=d.keep, reason=d.reason)
                for d in verdict.decisions
            )
            databases.append(DatabaseExpiry(cluster=cluster, database=database, refused=verdict.refused, decisions=decisions))
    if not dry_run:
        forget_jobs(settings, datetime.now(UTC) - _JOBS_KEPT)
    return ExpireReport(dry_run=dry_run, removed=tuple(removed), databases=tuple(databases), problems=tuple(problems))
