"""The recovery of a cluster on its way: the backup's files are fetched into a place, and the log is replayed by a server of its own."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from pgkeeper.host.confinement import confinement_problem
from pgkeeper.model.errors import IntegrityError, OperationFailed, RefusedError
from pgkeeper.model.physical_backup import PhysicalBackup
from pgkeeper.model.progress import Progress
from pgkeeper.model.recovery_target import show_time
from pgkeeper.model.replay import Replay, replay_to_time
from pgkeeper.model.wal import Segment, parse_lsn
from pgkeeper.operations.pitr import pgbackrest
from pgkeeper.operations.pitr_request import Planned
from pgkeeper.operations.side_place import productions_tablespaces
from pgkeeper.pgbackrest.restore import backup_tablespaces, restore, restore_command, restore_over
from pgkeeper.postgres.data_directory import began_at, link_tablespaces, tablespace_links
from pgkeeper.postgres.facts import ClusterIdentity
from pgkeeper.postgres.side_cluster import SideCluster
from pgkeeper.settings import Settings


class Recovery:
    """One recovery on its way into a side cluster's directory; `in_place` that is production's own, and no server of production's runs."""

    def __init__(self, planned: Planned, cluster: SideCluster, settings: Settings, progress: Progress, *, in_place: bool = False) -> None:
        self._plan = planned.plan
        self._planned = planned
        self._cluster = cluster
        self._settings = settings
        self._program = pgbackrest(settings)
        self._progress = progress
        self._in_place = in_place
        self.made: dict[Path, Path] = {}
        """Where the files of tablespaces lie that were made after the backup, by the location they were made in."""
        self.phases: dict[str, float] = {}
        self.warnings: list[str] = list(planned.warnings)

    def tablespaces(self) -> dict[int, Path]:
        """Return the tablespaces in the backup: where each lay in production, by OID."""
        return backup_tablespaces(self._program, self._plan.repository, self._plan.backup)

    def beside(self, directory: Path) -> ClusterIdentity:
        """Fetch and replay into the directory of a side cluster, tablespaces and all; return what the cluster is then.

        Its server runs on then. Raises what `fetch` and `recover` raise; the server is stopped before, and the files stay.
        """
        places, data = directory / "tablespaces", self._cluster.data
        self.fetch({oid: places / str(oid) for oid in self.tablespaces()})
        try:
            found = self.recover(lambda location: places / f"later{location}".replace("/", "-"))
        except BaseException:
            # It would ask the repository for log as long as the host runs, or let people look at what is not what they asked for.
            with suppress(OperationFailed):
                self._cluster.stop()
            raise
        # Whoever starts the cluster by hand, outside of its confinement, is to find them here as well.
        links = tablespace_links(data)
        link_tablespaces(data, {oid: self.made[location] for oid, location in links.items() if location in self.made})
        return found

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

    def fetch_over(self) -> None:
        """Write the backup's files over production's own, there and in its tablespaces, for good. Raises PgBackRestFailed."""
        assert self._in_place
        with self.phase(f"fetch what differs from backup {self._plan.backup}", "fetch"):
            self._cluster.data.mkdir(mode=0o700, parents=True, exist_ok=True)
            size = size_of(self._planned)
            self.warnings += restore_over(self._program, self._plan.repository, self._plan.backup, self._cluster.data, size, self._progress)

    def recover(self, place_for: Callable[[Path], Path]) -> ClusterIdentity:
        """Replay the log to the target, and return what the cluster is then.

        `place_for` says where the files of a tablespace go that was made after the backup, in the location it is told; the links of the
        cluster lead to that location. Raises RefusedError where production's would be written over, OperationFailed, IntegrityError.
        """
        command = restore_command(self._program, self._plan.repository, self._cluster.data)

        def made(location: Path) -> Path:
            place = self.made[location] = place_for(location)
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            here = "" if place == location else f"; here it lies in {place}"
            self._progress.note(f"the tablespace in {location} was made after the backup{here}")
            return place

        if not self._in_place:
            self._require_apart()
        with self.phase(f"replay to {self._plan.target.describe()}", "replay"):
            self._cluster.configure({**self._plan.settings, "restore_command": command})
            found = self._cluster.recover(self._replaying(), made)
        wanted = self._planned.contents.info.system_identifier
        if found.system_identifier != wanted:
            raise IntegrityError("what was recovered is another cluster", f"{found.system_identifier}, not {wanted}")
        if found.timeline <= self._plan.timeline:
            raise OperationFailed("recovery ended on another timeline", f"{found.timeline}, and it was to branch off {self._plan.timeline}")
        self._require_complete(found.timeline)
        return found

    def _require_complete(self, timeline: int) -> None:
        """Raise IntegrityError where recovery ended before a position that it had to pass: log that is damaged looks like its end."""
        if self._plan.target.kind != "latest":
            # PostgreSQL itself dies before it opens a cluster that has not come to its target.
            return
        ended = began_at(self._cluster.data, timeline)
        if parse_lsn(ended) < parse_lsn(self._plan.ends_at_lsn):
            raise IntegrityError(
                "recovery ended before the end of the log",
                f"at {ended}, and the archived log goes on to {self._plan.ends_at_lsn}: a segment is damaged there",
                f"recover from the other repository, or to where it ended, --target-lsn {ended}; `pgkeeper pitr verify` finds damage",
            )

    def _replaying(self) -> Callable[[str], None]:
        """Return what is told at which segment the replay is, and tells how far that is."""
        replay = replay_of(self._planned)

        def watch(segment: str) -> None:
            if segment:
                self._progress.advance(*replay.done(segment))

        return watch

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


def replay_of(planned: Planned) -> Replay:
    """Return which part of the log a planned recovery replays."""
    plan, contents = planned.plan, planned.contents
    begin, end = parse_lsn(_backup(planned).begin_lsn), parse_lsn(plan.ends_at_lsn)
    size = contents.segment_bytes
    if plan.target.at is None:
        return Replay(begin, end, size)
    archived = ((Segment.parse(file.name, size), file.archived_at) for file in contents.archive.segments.values())
    return replay_to_time(begin, end, plan.target.at, archived, size)


def target_told(planned: Planned) -> str:
    """Return in words to which moment a recovery goes."""
    target = planned.plan.target
    if target.at is None:
        return target.describe()
    return ("the moment before " if target.exclusive else "") + show_time(target.at, planned.zone)


def size_of(planned: Planned) -> int:
    """Return how many bytes the planned backup takes once it is fetched."""
    return _backup(planned).size_bytes


def _backup(planned: Planned) -> PhysicalBackup:
    return next(backup for backup in planned.contents.info.backups if backup.label == planned.plan.backup)
