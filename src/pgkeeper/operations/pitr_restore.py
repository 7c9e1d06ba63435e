"""Recover the cluster to a moment beside production, which is not touched: files, log, and a server of its own to look into them."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pgkeeper.host.locks import exclusive
from pgkeeper.host.logs import log
from pgkeeper.model.errors import IntegrityError, OperationFailed
from pgkeeper.model.progress import Progress
from pgkeeper.model.recovery_target import show_time
from pgkeeper.model.repository import RepositoryName
from pgkeeper.operations.pitr import pgbackrest
from pgkeeper.operations.pitr_request import Planned, RecoveryWish, plan_wish
from pgkeeper.operations.reports import Message
from pgkeeper.operations.side_place import SideMarker, claim, mark, productions_places, remove, require_side
from pgkeeper.pgbackrest.restore import backup_tablespaces, restore, restore_command
from pgkeeper.postgres.export import export_table
from pgkeeper.postgres.facts import ClusterIdentity
from pgkeeper.postgres.side_cluster import PORT, SideCluster
from pgkeeper.settings import Settings

_ID = "%Y%m%dT%H%M%S"


class PitrRestoreRequest(Message):
    """A recovery beside production. `to_dir` is made where nothing is said; `exports` are tables of `database`, as `schema.table`."""

    wish: RecoveryWish
    to_dir: Path | None = None
    exports: tuple[str, ...] = ()
    database: str | None = None
    wait: timedelta = timedelta()


class PitrRestorePlan(Message):
    """What a recovery would do. `target` says in words to which moment, in UTC and in production's time zone."""

    target: str
    repository: RepositoryName
    backup: str
    timeline: int
    directory: Path
    size_bytes: int
    warnings: tuple[str, ...] = ()


class PitrRestoreReport(Message):
    """What was recovered, and how to reach it. `timeline` is the one it was recovered on, `new_timeline` its own since then.

    `exports` are files with the tables that were asked for. `phases` maps each phase to its seconds.
    """

    target: str
    repository: RepositoryName
    backup: str
    timeline: int
    new_timeline: int
    directory: Path
    host: str
    port: int
    exports: tuple[Path, ...] = ()
    recovered_at: datetime
    seconds: float
    phases: dict[str, float]
    warnings: tuple[str, ...] = ()


def plan_pitr_restore(request: PitrRestoreRequest, settings: Settings, progress: Progress) -> PitrRestorePlan:
    """Return what `pitr_restore` would do now. Raises PgkeeperError where it would refuse at once."""
    planned = plan_wish(request.wish, settings, progress)
    return PitrRestorePlan(
        target=target_told(planned),
        repository=request.wish.source,
        backup=planned.plan.backup,
        timeline=planned.plan.timeline,
        directory=_directory(request, settings, datetime.now(UTC)),
        size_bytes=_size(planned),
        warnings=planned.warnings,
    )


def pitr_restore(request: PitrRestoreRequest, settings: Settings, progress: Progress) -> PitrRestoreReport:
    """Recover into a directory of its own, and leave the server running there.

    Raises PgkeeperError: UsageError or RefusedError before anything is written, OperationFailed when recovery fails; what was written then
    stays for a look, and goes with the next recovery into the same directory.
    """
    began = time.monotonic()
    at = datetime.now(UTC)
    planned = plan_wish(request.wish, settings, progress)
    directory = _directory(request, settings, at)
    with exclusive(settings.state_dir, f"side {directory}", f"a recovery into {directory}", request.wait):
        marker = SideMarker(
            state="begun", system_identifier=planned.contents.info.system_identifier, made_at=at, target=target_told(planned)
        )
        cluster = claim(directory, marker, productions_places(settings), _size(planned))
        recovery = Recovery(planned, cluster, settings, progress)
        recovery.fetch({oid: directory / "tablespaces" / str(oid) for oid in recovery.tablespaces()})
        found = recovery.recover()
        mark(directory, marker.model_copy(update={"state": "recovered"}))
        with recovery.phase("export"):
            exports = tuple(
                export_table(cluster.server, found.major, request.database or "postgres", table, directory / "export")
                for table in request.exports
            )
    log.info("cluster recovered", directory=str(directory), target=marker.target, backup=planned.plan.backup)
    return PitrRestoreReport(
        target=marker.target,
        repository=request.wish.source,
        backup=planned.plan.backup,
        timeline=planned.plan.timeline,
        new_timeline=found.timeline,
        directory=directory,
        host=str(directory),
        port=PORT,
        exports=exports,
        recovered_at=datetime.now(UTC),
        seconds=round(time.monotonic() - began, 3),
        phases=recovery.phases,
        warnings=tuple(recovery.warnings),
    )


class Recovery:
    """One recovery on its way into a side cluster's directory."""

    def __init__(self, planned: Planned, cluster: SideCluster, settings: Settings, progress: Progress) -> None:
        self._plan = planned.plan
        self._planned = planned
        self._cluster = cluster
        self._program = pgbackrest(settings)
        self._progress = progress
        self.phases: dict[str, float] = {}
        self.warnings: list[str] = list(planned.warnings)

    def tablespaces(self) -> dict[int, Path]:
        """Return the tablespaces in the backup: where each lay in production, by OID."""
        return backup_tablespaces(self._program, self._plan.repository, self._plan.backup)

    def fetch(self, tablespaces: Mapping[int, Path]) -> None:
        """Write the backup's files, those of its tablespaces to the places that are given. Raises PgBackRestFailed."""
        with self.phase(f"fetch backup {self._plan.backup}", "fetch"):
            for path in (self._cluster.data, *tablespaces.values()):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.warnings += restore(
                self._program,
                self._plan.repository,
                self._plan.backup,
                self._cluster.data,
                tablespaces,
                _size(self._planned),
                self._progress,
            )

    def recover(self) -> ClusterIdentity:
        """Replay the log to the target, and return what the cluster is then. Raises OperationFailed, IntegrityError."""
        command = restore_command(self._program, self._plan.repository, self._cluster.data)
        with self.phase(f"replay the log to {self._plan.target.describe()}", "replay"):
            self._cluster.configure({**self._plan.settings, "restore_command": command})
            found = self._cluster.recover(lambda segment: self._progress.note(f"replaying segment {segment}") if segment else None)
        wanted = self._planned.contents.info.system_identifier
        if found.system_identifier != wanted:
            raise IntegrityError("what was recovered is another cluster", f"{found.system_identifier}, not {wanted}")
        if found.timeline <= self._plan.timeline:
            raise OperationFailed("recovery ended on another timeline", f"{found.timeline}, and it was to branch off {self._plan.timeline}")
        return found

    @contextmanager
    def phase(self, told: str, name: str = "") -> Iterator[None]:
        """Time a phase, and tell of it."""
        self._progress.phase(told)
        began = time.monotonic()
        yield
        self.phases[name or told] = round(time.monotonic() - began, 3)


def target_told(planned: Planned) -> str:
    """Return in words to which moment a recovery goes."""
    target = planned.plan.target
    return target.describe() if target.at is None else show_time(target.at, planned.zone) + (" (exclusive)" if target.exclusive else "")


def stop_side(directory: Path, *, clear: bool) -> None:
    """Stop a side cluster, and with `clear` remove it. Raises UsageError when there is none."""
    cluster = require_side(directory)
    if clear:
        remove(cluster)
    else:
        cluster.stop()


def _directory(request: PitrRestoreRequest, settings: Settings, at: datetime) -> Path:
    return request.to_dir or settings.pitr_dir / f"{settings.pitr_stanza}-{at.strftime(_ID)}"


def _size(planned: Planned) -> int:
    return next(backup.size_bytes for backup in planned.contents.info.backups if backup.label == planned.plan.backup)
