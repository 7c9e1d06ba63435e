"""One screen about what can be had back, and what needs the owner. Reads only, and answers while the server is down."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pgkeeper.host.disk_space import used_percent
from pgkeeper.model.damage import removal_advice
from pgkeeper.model.errors import IntegrityError, PgkeeperError, is_damage
from pgkeeper.model.retention import Held, decide
from pgkeeper.model.status import BackupFacts, DatabaseFacts, DetachedFacts, HostFacts, LeftFacts, OffSiteFacts, headline, judge
from pgkeeper.operations.interrupted_cluster import interrupted_cluster
from pgkeeper.operations.kept_clusters import kept_directories, recovered_clusters
from pgkeeper.operations.known_window import KnownWindow, known_windows
from pgkeeper.operations.off_site import known_off_site
from pgkeeper.operations.pitr import detached
from pgkeeper.operations.pitr_archiving import look_at_archiving
from pgkeeper.operations.pitr_detached import detached_since
from pgkeeper.operations.places import local_store, server
from pgkeeper.operations.reports import Message
from pgkeeper.operations.settling import look_at_clock
from pgkeeper.operations.waiting import waiting_for
from pgkeeper.postgres.copy_mark import list_copies
from pgkeeper.postgres.facts import databases_to_back_up, identify
from pgkeeper.postgres.server import require_superuser, told
from pgkeeper.settings import Settings
from pgkeeper.stores.copy import Copy
from pgkeeper.stores.local_copy import LocalCopy


class DatabaseStatus(Message):
    """What can be had back of one database: the state of `recoverable_to`, from backup `backup_id`; None where there is no good one.

    `proven_at` is the newest proof by a restore over all its backups, and `recovery_seconds` what a restore took then. `off_site_to` is
    when the newest backup that has a copy off site was begun. `wanted` is False for a database that is gone, or not backed up any more.
    """

    cluster: str
    database: str
    wanted: bool
    backups: int
    backup_id: str | None
    recoverable_to: datetime | None
    age_seconds: float | None
    proven_at: datetime | None
    recovery_seconds: float | None
    off_site_to: datetime | None


class StatusFinding(Message):
    """Something to know. A `problem` needs the owner, a `remark` does not; `database` is empty where it is the host's."""

    level: Literal["problem", "remark"]
    database: str
    text: str
    hint: str


class StatusReport(Message):
    """The answer (`summary`), and what it rests on. `windows`: what recovery to any second can bring back, as far as the last check saw."""

    summary: str
    checked_at: datetime
    databases: tuple[DatabaseStatus, ...]
    windows: tuple[KnownWindow, ...]
    findings: tuple[StatusFinding, ...]
    disk_used_percent: float

    @property
    def problems(self) -> tuple[StatusFinding, ...]:
        """Return what needs the owner."""
        return tuple(finding for finding in self.findings if finding.level == "problem")

    @property
    def exit_status(self) -> int:
        """Return 0 when nothing needs the owner, else 1."""
        return int(bool(self.problems))


def status(settings: Settings) -> StatusReport:
    """Look at backups, proofs, server and disk. What can't be looked at is a finding, not an error."""
    now = datetime.now(UTC)
    facts = _facts(settings, now)
    newest_copies = _newest_copies(settings)
    judgement = judge(facts, now)
    findings = tuple(
        StatusFinding(level=finding.level, database=finding.database, text=finding.text, hint=finding.hint)
        for finding in judgement.findings
    )
    return StatusReport(
        summary=headline([finding for finding in judgement.findings if finding.level == "problem"]),
        checked_at=now,
        databases=tuple(
            DatabaseStatus(
                cluster=found.cluster,
                database=found.database,
                wanted=found.wanted,
                backups=found.backups,
                backup_id=found.backup_id,
                recoverable_to=found.recoverable_to,
                age_seconds=round((now - found.recoverable_to).total_seconds(), 1) if found.recoverable_to else None,
                proven_at=found.proven_at,
                recovery_seconds=found.recovery_seconds,
                off_site_to=newest_copies.get((found.cluster, found.database)),
            )
            for found in judgement.databases
        ),
        windows=known_windows(settings) if settings.pitr_enabled else (),
        findings=findings,
        disk_used_percent=facts.disk_used_percent,
    )


def _facts(settings: Settings, now: datetime) -> HostFacts:
    store_problem = ""
    backups: tuple[LocalCopy, ...] = ()
    try:
        backups = local_store(settings).backups()
    except PgkeeperError as error:
        store_problem = str(error)
    server_problem, standby = "", False
    cluster, names, copies = "", tuple[str, ...](), tuple[str, ...]()
    try:
        cluster, names, copies, standby = _wanted(settings)
    except PgkeeperError as error:
        server_problem = str(error)
    groups: dict[tuple[str, str], list[LocalCopy]] = {(cluster, name): [] for name in names}
    for backup in backups:
        groups.setdefault((backup.cluster, backup.database), []).append(backup)
    known_by_backups = bool(server_problem) or standby
    return HostFacts(
        databases=tuple(
            _database(*place, group, settings, now, wanted=known_by_backups or (place[0] == cluster and place[1] in names))
            for place, group in sorted(groups.items())
        ),
        disk_used_percent=round(used_percent(settings.dir if settings.dir.exists() else Path("/")), 1),
        owner_is_told=bool(settings.notify_urls),
        server_problem=server_problem,
        store_problem=store_problem,
        standby=standby,
        copies=copies,
        held_back=look_at_clock(settings, now).held_back(now),
        off_site=_off_site(backups, settings, now),
        archiving_problem=look_at_archiving(settings).problem if settings.pitr_enabled and not server_problem else "",
        interrupted=interrupted_cluster(settings),
        detached=tuple(DetachedFacts(name, detached_since(settings, name)) for name in detached(settings) if settings.pitr_enabled),
        left=_left(settings),
    )


def _left(settings: Settings) -> tuple[LeftFacts, ...]:
    """Return what recoveries have left; what is at work has left nothing yet."""
    if not settings.pitr_enabled:
        return ()
    recovered = [one for one in recovered_clusters(settings, measured=False) if not (one.state == "begun" and one.at_work)]
    return (
        *(LeftFacts(one.name, recovered=True, running=one.running, since=one.since, known=one.state != "unknown") for one in recovered),
        *(LeftFacts(one.name, recovered=False, running=False, since=one.since) for one in kept_directories(settings, measured=False)),
    )


def _off_site(backups: Sequence[LocalCopy], settings: Settings, now: datetime) -> tuple[OffSiteFacts, ...]:
    found = []
    for store, ledger in known_off_site(settings):
        waiting = waiting_for(ledger, backups, now, settings.retention_days)
        since = waiting[0].created_at if waiting else None
        found.append(OffSiteFacts(store, len(waiting), since, ledger.failing_since, ledger.problem, ledger.foreign))
    return tuple(found)


def _newest_copies(settings: Settings) -> dict[tuple[str, str], datetime]:
    newest: dict[tuple[str, str], datetime] = {}
    for _, ledger in known_off_site(settings):
        for copy in ledger.copies:
            place = (copy.cluster, copy.database)
            newest[place] = max(copy.created_at, newest.get(place, copy.created_at))
    return newest


def _wanted(settings: Settings) -> tuple[str, tuple[str, ...], tuple[str, ...], bool]:
    """Return the cluster's label, the databases to back up there, pgkeeper's copies, and whether it is a standby left to its primary."""
    with server(settings).connect_maintenance() as session, told("looking at the cluster"):
        require_superuser(session)
        cluster = identify(session)
        left_to_primary = cluster.standby and not settings.from_standby
        wanted = () if left_to_primary else settings.databases or databases_to_back_up(session)
        copies = () if left_to_primary else tuple(name for name in list_copies(session) if name not in wanted)
        return cluster.label, wanted, copies, left_to_primary


def _database(cluster: str, database: str, backups: Sequence[Copy], settings: Settings, now: datetime, *, wanted: bool) -> DatabaseFacts:
    facts: list[BackupFacts] = []
    held: list[Held] = []
    for backup in backups:
        found = _backup(backup)
        if found.problem and backup.gone():
            continue
        facts.append(found)
        held.append(
            Held(
                backup.backup_id,
                backup.created_at,
                not found.problem,
                not found.problem and found.proven_at is not None,
                backup.pinned(),
                bool(found.difference),
            )
        )
    return DatabaseFacts(cluster=cluster, database=database, wanted=wanted, backups=tuple(facts), expirable=_expirable(held, settings, now))


def _expirable(held: list[Held], settings: Settings, now: datetime) -> int:
    """Return how many backups have had their time, leaving aside what keeps expiry as a whole from removing them."""
    verdict = decide(held, now, settings.retention)
    return sum(1 for decision in verdict.decisions if decision.reason == verdict.refused or not decision.keep)


def _backup(backup: Copy) -> BackupFacts:
    pin_problem = ""
    try:
        backup.pin()
    except IntegrityError as error:
        pin_problem = str(error)
    try:
        manifest = backup.manifest()
    except IntegrityError as error:
        # What can't be read for another reason than damage says in itself what to do.
        advice = removal_advice(backup.backup_id) if is_damage(error) else ""
        return BackupFacts(backup.backup_id, backup.created_at, problem=str(error), advice=advice, pin_problem=pin_problem)
    damage = backup.damage()
    only_restore = damage is not None and damage.only_restore
    problem = damage.found if damage and not only_restore else ""
    advice = damage.advice if damage else ""
    if not problem and not backup.whole():
        problem = f"backup {backup.backup_id} is damaged: files are missing, or not of their size"
        advice = removal_advice(backup.backup_id)
    proof = backup.proofs().get("restore")
    return BackupFacts(
        backup_id=backup.backup_id,
        created_at=backup.created_at,
        snapshot_at=manifest.snapshot_at,
        problem=problem,
        advice=advice,
        difference=damage.found if damage and only_restore and not problem else "",
        pin_problem=pin_problem,
        proven_at=proof.finished_at if proof else None,
        recovery_seconds=proof.recovery_seconds if proof else None,
    )
