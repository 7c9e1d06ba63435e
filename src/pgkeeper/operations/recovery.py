"""The recovery of a cluster on its way: the backup's files are fetched into a place, and the log is replayed by a server of its own."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pgkeeper.host.confinement import confinement_problem
from pgkeeper.model.errors import IntegrityError, OperationFailed, RefusedError
from pgkeeper.model.progress import Progress
from pgkeeper.model.recovery_target import show_time
from pgkeeper.operations.pitr import pgbackrest
from pgkeeper.operations.pitr_request import Planned
from pgkeeper.operations.side_place import productions_tablespaces
from pgkeeper.pgbackrest.restore import backup_tablespaces, restore, restore_command
from pgkeeper.postgres.facts import ClusterIdentity, list_databases
from pgkeeper.postgres.page_check import check_pages
from pgkeeper.postgres.server import told
from pgkeeper.postgres.side_cluster import SideCluster
from pgkeeper.settings import Settings

_MOST_NAMED = 5


class Recovery:
    """One recovery on its way into a side cluster's directory."""

    def __init__(self, planned: Planned, cluster: SideCluster, settings: Settings, progress: Progress) -> None:
        self._plan = planned.plan
        self._planned = planned
        self._cluster = cluster
        self._settings = settings
        self._program = pgbackrest(settings)
        self._progress = progress
        self.made: dict[Path, Path] = {}
        """Where the files of tablespaces lie that were made after the backup, by the location they were made in."""
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
                size_of(self._planned),
                self._progress,
            )

    def recover(self, place_for: Callable[[Path], Path]) -> ClusterIdentity:
        """Replay the log to the target, and return what the cluster is then.

        `place_for` says where the files of a tablespace go that was made after the backup, in the location it is told; the links of the
        cluster lead to that location. Raises RefusedError where production's would be written over, OperationFailed, IntegrityError.
        """
        command = restore_command(self._program, self._plan.repository, self._cluster.data)

        def made(location: Path) -> Path:
            place = self.made[location] = place_for(location)
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._progress.note(f"the tablespace in {location} was made after the backup; here it lies in {place}")
            return place

        self._require_apart()
        with self.phase(f"replay to {self._plan.target.describe()}", "replay"):
            self._cluster.configure({**self._plan.settings, "restore_command": command})
            found = self._cluster.recover(lambda segment: self._progress.note(f"replaying segment {segment}") if segment else None, made)
        wanted = self._planned.contents.info.system_identifier
        if found.system_identifier != wanted:
            raise IntegrityError("what was recovered is another cluster", f"{found.system_identifier}, not {wanted}")
        if found.timeline <= self._plan.timeline:
            raise OperationFailed("recovery ended on another timeline", f"{found.timeline}, and it was to branch off {self._plan.timeline}")
        return found

    def _require_apart(self) -> None:
        """Refuse what could write over a tablespace that is younger than the backup, where the kernel does not prevent that."""
        problem = confinement_problem()
        if not problem:
            return
        later = set(productions_tablespaces(self._settings)) - set(self.tablespaces().values())
        if later:
            raise RefusedError(
                "the log cannot be replayed safely",
                f"tablespaces were made after the backup, in {', '.join(sorted(map(str, later)))}, and would be written over: {problem}",
                "install bubblewrap and allow user namespaces, or make a backup (`pgkeeper pitr backup`) and recover to a later moment",
            )
        self.warnings.append(f"the recovered server is kept from production's files by its settings alone: {problem}")

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


def size_of(planned: Planned) -> int:
    """Return how many bytes the planned backup takes once it is fetched."""
    return next(backup.size_bytes for backup in planned.contents.info.backups if backup.label == planned.plan.backup)


def check_all_pages(side: SideCluster) -> tuple[str, ...]:
    """Look into every page of all databases of a side cluster; return those that could not be looked into. Raises IntegrityError."""
    unchecked = []
    with side.server.connect_maintenance() as session, told("looking at the recovered cluster"):
        names = list_databases(session)
    for name in names:
        damages = check_pages(side.server, name)
        if damages is None:
            unchecked.append(name)
        elif damages:
            raise IntegrityError(
                f"database {name} is damaged in what was recovered",
                "; ".join(damages[:_MOST_NAMED]),
                "recover to an earlier moment, or from the other repository; `pgkeeper pitr restore` without --replace lets you look",
            )
    return tuple(unchecked)
