"""Drill: bring everything back from the bucket and the key alone, as if the host were lost, and measure how long that takes."""

import secrets
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from pgkeeper.host.identity import host_identity
from pgkeeper.host.locks import exclusive
from pgkeeper.host.logs import log
from pgkeeper.host.sandbox import require_sandbox
from pgkeeper.model.drill import Listing, Phase, added_up, drill_target, listing_changes, new_drill_id, recovery_seconds
from pgkeeper.model.errors import IntegrityError, OperationFailed, PgkeeperError, UsageError
from pgkeeper.model.progress import Progress
from pgkeeper.operations.drill_database import DatabaseDrill
from pgkeeper.operations.drill_report import DrillOutcome, DrillPlan, DrillReport, DrillRequest, PlannedDrill
from pgkeeper.operations.drills import keep_drill, list_drills
from pgkeeper.operations.manifest_facts import known_facts
from pgkeeper.operations.off_site import bucket_settings, cloud_store
from pgkeeper.operations.places import cluster_reached, newest_by_database, server
from pgkeeper.operations.tell_owner import tell_drilled
from pgkeeper.postgres.facts import ClusterIdentity
from pgkeeper.postgres.new_database import database_exists
from pgkeeper.postgres.server import told
from pgkeeper.settings import Settings
from pgkeeper.stores.cloud import CloudStore
from pgkeeper.stores.cloud_copy import CloudCopy

_MOST_NAMED = 5


def plan_drill(request: DrillRequest, settings: Settings) -> DrillPlan:
    """Return what `drill` would do now. Reads only. Raises UsageError when there is nothing to drill."""
    store = _store(request, settings)
    now = datetime.now(UTC)
    chosen = _chosen(store, store.backups(), request)
    with server(settings).connect_maintenance() as session, told("planning the drill"):
        planned = tuple(
            PlannedDrill(
                database=copy.database,
                cluster=copy.cluster,
                backup_id=copy.backup_id,
                created_at=copy.created_at,
                size_bytes=copy.size_bytes,
                target=drill_target(copy.database, now, taken=database_exists(session, copy.database)),
            )
            for copy in chosen
        )
    last = next((known.started_at for known in list_drills(settings).drills if known.host == store.host), None)
    return DrillPlan(host=store.host, where=store.where, databases=planned, last=last)


def drill(request: DrillRequest, settings: Settings, progress: Progress) -> DrillReport:
    """Find, fetch, prove and restore the newest copy of each database, one after the other; what goes wrong is in the report.

    Nothing is written to the bucket: its listing must be the same afterwards. The report is kept as a file, and the owner is told how it
    went. Raises UsageError when there is nothing to drill, and what keeps this host from drilling at all: ConfigurationError for unusable
    settings or keys, OperationFailed without a server to restore onto, RefusedError without a sandbox, BusyError while another drill runs.
    """
    require_sandbox()
    cluster = cluster_reached(settings)
    if cluster.standby:
        raise OperationFailed("nothing can be restored onto this server", "it is a standby", "set PGHOST and PGPORT to its primary")
    store = _store(request, settings)
    with exclusive(settings.state_dir, "drill", "a drill", request.wait):
        report = _Drill(store, cluster, request, settings, progress).run()
        report = report.model_copy(update={"warnings": (*report.warnings, *tell_drilled(report, settings))})
        unkept = keep_drill(report, settings)
    log.info("drill done", drill_id=report.drill_id, passed=report.passed, recovery_seconds=report.recovery_seconds)
    return report.model_copy(update={"warnings": (*report.warnings, *unkept)})


class _Drill:
    """One drill on its way."""

    def __init__(self, store: CloudStore, cluster: ClusterIdentity, request: DrillRequest, settings: Settings, progress: Progress) -> None:
        self._store = store
        self._cluster = cluster
        self._request = request
        self._settings = settings
        self._progress = progress
        self._began = datetime.now(UTC)
        self._copies: Sequence[CloudCopy] = ()
        self._outcomes: list[DrillOutcome] = []
        self._phases: dict[Phase, float] = {}
        self._warnings: list[str] = []
        self._unchanged: bool | None = None

    def run(self) -> DrillReport:
        """Take all steps. Raises UsageError when there is nothing to drill."""
        started = time.monotonic()
        error = None
        try:
            self._steps()
        except (OperationFailed, IntegrityError) as failure:
            error = failure.info
            log.error("drill failed", error=str(error))
        phases = added_up([self._phases, *(outcome.phases for outcome in self._outcomes)])
        came_back = bool(self._outcomes) and all(outcome.status == "done" for outcome in self._outcomes)
        return DrillReport(
            drill_id=new_drill_id(self._began, secrets.token_hex(3)),
            store=self._request.source,
            where=self._store.where,
            host=self._store.host,
            drilled_on=host_identity(self._settings.state_dir),
            server_version=self._cluster.server_version,
            started_at=self._began,
            finished_at=datetime.now(UTC),
            seconds=round(time.monotonic() - started, 3),
            copies=len(self._copies),
            outcomes=tuple(self._outcomes),
            phases=phases,
            recovery_seconds=recovery_seconds(phases) if came_back else None,
            age_seconds=max((outcome.age_seconds for outcome in self._outcomes if outcome.age_seconds is not None), default=None),
            unchanged=self._unchanged,
            warnings=tuple(self._warnings),
            error=error,
        )

    def _steps(self) -> None:
        self._progress.phase(f"find copies of {self._store.host}")
        began = time.monotonic()
        before = self._listing()
        self._copies = self._store.backups()
        chosen = _chosen(self._store, self._copies, self._request)
        # The catalog of a new host knows nothing yet; whoever looks what else there is asks it.
        facts = known_facts(self._settings, self._copies, everything=False)
        self._warnings += [str(said) for said in facts.values() if isinstance(said, PgkeeperError)]
        self._phases["find"] = time.monotonic() - began
        for copy in chosen:
            self._outcomes.append(DatabaseDrill(copy, self._request, self._settings, self._progress, self._began).run())
        self._progress.phase("list the bucket again")
        began = time.monotonic()
        changes = listing_changes(before, self._listing())
        self._phases["listing"] = time.monotonic() - began
        self._unchanged = not changes
        if changes:
            raise IntegrityError(
                f"{self._store.where} changed during the drill",
                "; ".join(changes[:_MOST_NAMED]) + (f"; and {len(changes) - _MOST_NAMED} more" if len(changes) > _MOST_NAMED else ""),
                f"a drill writes nothing there: if {self._store.host} still works, it did; drill when its timetable has nothing to do",
            )

    def _listing(self) -> Listing:
        return {found.key: (found.size, found.modified_at) for found in self._store.bucket.list(f"{self._store.home}/")}


def _store(request: DrillRequest, settings: Settings) -> CloudStore:
    return cloud_store(settings, bucket_settings(settings, request.source), request.host)


def _chosen(store: CloudStore, copies: Sequence[CloudCopy], request: DrillRequest) -> tuple[CloudCopy, ...]:
    """Return the newest copy of each database that is asked for, by their names."""
    if not copies:
        others = ", ".join(store.hosts()) or "nothing"
        raise UsageError(f"there is no copy of host {store.host} in {store.bucket.name}", f"there is {others}", "say which with --host")
    newest = newest_by_database(copies)
    missing = sorted(set(request.databases) - {database for _, database in newest})
    if missing:
        raise UsageError(
            f"there is no copy of {', '.join(missing)} in {store.where}", "", "`pgkeeper list --from cloud` shows what is there"
        )
    return tuple(newest[place] for place in sorted(newest) if not request.databases or place[1] in request.databases)
