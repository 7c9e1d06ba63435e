"""Remove backups whose time is over, never the last good ones."""

from datetime import UTC, datetime, timedelta

from pydantic import Field

from pgkeeper.host.logs import log
from pgkeeper.model.copy import StoreName
from pgkeeper.operations.expire_off_site import expire_off_site
from pgkeeper.operations.expire_replaced import expire_replaced
from pgkeeper.operations.expiry import DatabaseExpiry, Expiry, decide_all
from pgkeeper.operations.jobs import forget_jobs
from pgkeeper.operations.places import STORE_WAIT, downloads, local_store, store_lock
from pgkeeper.operations.reports import Message
from pgkeeper.operations.settling import look_at_clock, remember_look
from pgkeeper.settings import Settings
from pgkeeper.stores.fetch import clear_stale

_JOBS_KEPT = timedelta(days=30)


class ExpireReport(Message):
    """What was removed, or with `dry_run` what would be, from every store; `problems` names what could not be.

    `held_back` says why nothing of any database may be removed, and until when: the clock is in doubt, or nothing is known of the past.
    `removed` are backups that went from this host, `removed_off_site` those whose copies went from a bucket, by store. `replaced` are
    databases that were put aside by a restore, and dropped.
    """

    dry_run: bool
    held_back: str
    removed: tuple[str, ...]
    removed_off_site: dict[StoreName, tuple[str, ...]] = Field(default_factory=dict)
    replaced: tuple[str, ...] = ()
    databases: tuple[DatabaseExpiry, ...]
    problems: tuple[str, ...] = ()

    @property
    def exit_status(self) -> int:
        """Return 1 when something could not be removed."""
        return int(bool(self.problems))


def expire(settings: Settings, *, dry_run: bool = False, wait: timedelta = STORE_WAIT) -> ExpireReport:
    """Remove what retention lets go, store by store and database by database, and the records of jobs older than 30 days.

    A backup that can't be removed is in the report, and costs the others nothing; nor does a store that can't be reached. A dry run changes
    nothing at all. Raises BusyError when somebody else changes the local store for longer than `wait`.
    """
    if dry_run:
        now = datetime.now(UTC)
        held_back = look_at_clock(settings, now).held_back(now)
        store = local_store(settings)
        report = _report(list(decide_all("local", store.backups(), now, settings.retention, held_back)), held_back, dry_run=True)
        return _with_replaced(_with_off_site(report, settings, now), settings, now)
    with store_lock(settings, wait):
        # Not earlier: waiting may have taken long.
        now = datetime.now(UTC)
        held_back, unremembered = _look(settings, now)
        store = local_store(settings)
        store.sweep()
        expiries = list(decide_all("local", store.backups(), now, settings.retention, held_back))
        for expiry in expiries:
            expiry.carry_out(store)
        report = _report(expiries, held_back, dry_run=False)
        if unremembered:
            # A full disk is what expiry is there to cure, so it did its work first.
            again = _look(settings, now)[1]
            report = report.model_copy(update={"problems": (*report.problems, *([again] if again else []))})
    clear_stale(downloads(settings))
    forget_jobs(settings, now - _JOBS_KEPT)
    return _with_replaced(_with_off_site(report, settings, now), settings, now)


def _with_replaced(report: ExpireReport, settings: Settings, now: datetime) -> ExpireReport:
    """Let replaced databases expire too, unless the clock is in doubt."""
    if report.held_back:
        return report
    replaced = expire_replaced(settings, now, dry_run=report.dry_run)
    return report.model_copy(update={"replaced": replaced.dropped, "problems": (*report.problems, *replaced.problems)})


def _with_off_site(report: ExpireReport, settings: Settings, now: datetime) -> ExpireReport:
    """Let copies off site expire too, where the bucket does not see to that itself."""
    for bucket in settings.buckets:
        if bucket.may_delete:
            off_site = expire_off_site(bucket, settings, now, report.held_back, dry_run=report.dry_run)
            report = report.model_copy(
                update={
                    "databases": (*report.databases, *off_site.databases),
                    "removed_off_site": {**report.removed_off_site, bucket.store: off_site.removed},
                    "problems": (*report.problems, *off_site.problems),
                }
            )
    return report


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
