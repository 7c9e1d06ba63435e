"""Remove backups whose time is over, never the last good ones."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

from pgkeeper.host.logs import log
from pgkeeper.model.errors import BusyError
from pgkeeper.model.retention import Held, Policy, Verdict, decide
from pgkeeper.operations.expire_replaced import expire_replaced
from pgkeeper.operations.failures import as_error_info
from pgkeeper.operations.jobs import forget_jobs
from pgkeeper.operations.places import STORE_WAIT, local_store, store_lock
from pgkeeper.operations.reports import Message
from pgkeeper.operations.settling import look_at_clock, remember_look
from pgkeeper.settings import Settings
from pgkeeper.stores.local import LocalStore
from pgkeeper.stores.stored_backup import StoredBackup

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
    """What was removed, or with `dry_run` what would be; `problems` names what could not be.

    `held_back` says why nothing of any database may be removed, and until when: the clock is in doubt, or nothing is known of the past.
    `replaced` are databases that were put aside by a restore, and dropped.
    """

    dry_run: bool
    held_back: str
    removed: tuple[str, ...]
    replaced: tuple[str, ...] = ()
    databases: tuple[DatabaseExpiry, ...]
    problems: tuple[str, ...] = ()

    @property
    def exit_status(self) -> int:
        """Return 1 when something could not be removed."""
        return int(bool(self.problems))


def expire(settings: Settings, *, dry_run: bool = False, wait: timedelta = STORE_WAIT) -> ExpireReport:
    """Remove what retention lets go, database by database, and the records of jobs older than 30 days.

    A backup that can't be removed is in the report, and costs the others nothing. A dry run changes nothing at all. Raises BusyError when
    somebody else changes the store for longer than `wait`.
    """
    if dry_run:
        now = datetime.now(UTC)
        held_back = look_at_clock(settings, now).held_back(now)
        report = _report(list(decide_all(local_store(settings).backups(), now, settings.retention, held_back)), held_back, dry_run=True)
        return _with_replaced(report, settings, now)
    with store_lock(settings, wait):
        # Not earlier: waiting may have taken long.
        now = datetime.now(UTC)
        held_back, unremembered = _look(settings, now)
        store = local_store(settings)
        store.sweep()
        expiries = list(decide_all(store.backups(), now, settings.retention, held_back))
        for expiry in expiries:
            expiry.carry_out(store)
        report = _report(expiries, held_back, dry_run=False)
        if unremembered:
            # A full disk is what expiry is there to cure, so it did its work first.
            again = _look(settings, now)[1]
            report = report.model_copy(update={"problems": (*report.problems, *([again] if again else []))})
    forget_jobs(settings, now - _JOBS_KEPT)
    return _with_replaced(report, settings, now)


def _with_replaced(report: ExpireReport, settings: Settings, now: datetime) -> ExpireReport:
    """Let replaced databases expire too, unless the clock is in doubt."""
    if report.held_back:
        return report
    replaced = expire_replaced(settings, now, dry_run=report.dry_run)
    return report.model_copy(update={"replaced": replaced.dropped, "problems": (*report.problems, *replaced.problems)})


def decide_all(backups: Iterable[StoredBackup], now: datetime, policy: Policy, held_back: str) -> Iterator["Expiry"]:
    """Yield what retention says of each database's backups. Reads their manifests and proofs, changes nothing."""
    groups: dict[tuple[str, str], list[StoredBackup]] = {}
    for backup in backups:
        groups.setdefault((backup.cluster, backup.database), []).append(backup)
    for (cluster, database), group in sorted(groups.items()):
        # Whoever does not hold the store lock may see one go while it looks.
        held = [found for backup in group if (found := _held(backup)).readable or not backup.gone()]
        yield Expiry(cluster, database, group, decide(held, now, policy, held_back))


class Expiry:
    """What retention says of one database's backups, and what became of it."""

    def __init__(self, cluster: str, database: str, backups: Iterable[StoredBackup], verdict: Verdict) -> None:
        self.cluster = cluster
        self.database = database
        self.verdict = verdict
        self.removed = list(verdict.removed)
        self.problems: list[str] = []
        self._backups = {backup.backup_id: backup for backup in backups}
        self._kept_after_all: dict[str, str] = {}

    def carry_out(self, store: LocalStore) -> None:
        """Remove what may go, the oldest first. What can't be removed is kept, and costs the others nothing."""
        if self.verdict.refused:
            log.warning("expiry refused", cluster=self.cluster, database=self.database, reason=self.verdict.refused)
        for backup_id in self.verdict.removed:
            try:
                store.delete(self._backups[backup_id])
            except BusyError:
                self._keep(backup_id, "it is being read")
            except Exception as error:  # noqa: BLE001 - one backup never stands in the way of the others
                problem = str(as_error_info(error, f"removing backup {backup_id}"))
                self._keep(backup_id, problem)
                self.problems.append(problem)
                log.error("backup not expired", backup_id=backup_id, error=problem)
            else:
                log.info("backup expired", backup_id=backup_id)

    def report(self) -> DatabaseExpiry:
        """Return it as part of a report."""
        decisions = tuple(
            ExpiryDecision(
                backup_id=decision.backup_id,
                keep=decision.keep or decision.backup_id in self._kept_after_all,
                reason=self._kept_after_all.get(decision.backup_id, decision.reason),
            )
            for decision in self.verdict.decisions
        )
        return DatabaseExpiry(cluster=self.cluster, database=self.database, refused=self.verdict.refused, decisions=decisions)

    def _keep(self, backup_id: str, reason: str) -> None:
        self._kept_after_all[backup_id] = reason
        self.removed.remove(backup_id)


def _held(backup: StoredBackup) -> Held:
    whole = backup.whole()
    return Held(backup.backup_id, backup.created_at, whole, whole and "restore" in backup.proofs(), backup.pinned())


def _look(settings: Settings, now: datetime) -> tuple[str, str]:
    """Return why nothing may be removed, and why this look can't be remembered; both empty where all is well."""
    try:
        return remember_look(settings, now).held_back(now), ""
    except OSError as error:
        problem = f"expiry cannot remember that it looked: {error.strerror} ({settings.state_dir})"
        log.error("expiry cannot remember", error=str(error))
        return look_at_clock(settings, now).held_back(now), problem


def _report(expiries: list[Expiry], held_back: str, *, dry_run: bool) -> ExpireReport:
    return ExpireReport(
        dry_run=dry_run,
        held_back=held_back,
        removed=tuple(backup_id for expiry in expiries for backup_id in expiry.removed),
        databases=tuple(expiry.report() for expiry in expiries),
        problems=tuple(problem for expiry in expiries for problem in expiry.problems),
    )
