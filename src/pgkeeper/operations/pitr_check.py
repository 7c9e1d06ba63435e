"""Find out every hour whether any second can be brought back: end a segment, see it arrive in every repository, look for gaps.

A repository that lacks the history of production's timeline gets it.
"""

import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pgkeeper.host.locks import exclusive
from pgkeeper.host.logs import log
from pgkeeper.model.coverage import Barrier, Gap, Span
from pgkeeper.model.errors import ErrorInfo, IntegrityError, PgkeeperError
from pgkeeper.model.physical_backup import PhysicalBackup
from pgkeeper.model.progress import Progress
from pgkeeper.model.repository import RepositoryName, number_of
from pgkeeper.model.wal_forecast import WalDisk, hours_until_full
from pgkeeper.operations.cluster_in_place import foreign_cluster
from pgkeeper.operations.failures import as_error_info
from pgkeeper.operations.known_window import remember_windows
from pgkeeper.operations.pitr import attached, detached, pgbackrest
from pgkeeper.operations.pitr_archiving import archiving_of
from pgkeeper.operations.pitr_coverage import look_into
from pgkeeper.operations.pitr_detached import detached_since
from pgkeeper.operations.pitr_history import history_problem
from pgkeeper.operations.pitr_timelines import timeline_warnings
from pgkeeper.operations.pitr_told import ToldRecord
from pgkeeper.operations.places import server
from pgkeeper.operations.production_lineage import production_lineage
from pgkeeper.operations.reports import Message
from pgkeeper.operations.tell_owner import tell_pitr_failed
from pgkeeper.pgbackrest.archive_has import archive_has
from pgkeeper.pgbackrest.program import PgBackRest
from pgkeeper.postgres.archiver import archiver_state, end_segment, history_file, is_waiting, wal_bytes_per_second
from pgkeeper.postgres.server import Session, require_superuser, told
from pgkeeper.settings import Settings

_POLL_SECONDS = 0.2
_READING = 300.0
"""So many seconds at most are spent on segments that nobody has read yet: the window and recoveries know what was learnt."""
_OLD = timedelta(days=8)
"""So old no backup gets where one is made every week, as the strategy has it at least."""


class PitrCheckRequest(Message):
    """`timeout`: how long the segment may take to be archived."""

    timeout: timedelta = timedelta(minutes=2)


class RepositoryCheck(Message):
    """One repository: whether the segment is there, gaps in its log, and barriers. With an `error` it could not be looked into."""

    repository: RepositoryName
    archived: bool = False
    gaps: tuple[Gap, ...] = ()
    barriers: tuple[Barrier, ...] = ()
    error: ErrorInfo | None = None


class PitrCheckReport(Message):
    """What was found. `segment` took `seconds` to be archived, None where it was not.

    `problems` need the owner; `damaged` where some of them are gaps or barriers. `hours_until_full`: when the disk of the log is full as
    long as nothing is archived, None while all is well or where that can't be told.
    """

    segment: str | None
    seconds: float | None
    repositories: tuple[RepositoryCheck, ...]
    hours_until_full: float | None = None
    problems: tuple[str, ...] = ()
    damaged: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def exit_status(self) -> int:
        """Return 0 when all is well, 4 where the log has a gap or a barrier that is new or still open, else 1."""
        return IntegrityError.exit_status if self.damaged else int(bool(self.problems))


def pitr_check(request: PitrCheckRequest, settings: Settings, progress: Progress) -> PitrCheckReport:
    """Check, and tell the owner of what is new, and once a day of what lasts.

    A gap that a backup lies behind is told of once: it will leave the window. So is what is wrong with a timeline. Raises
    ConfigurationError (exit status 3) where nothing is set up, and BusyError (exit status 5) while another check runs.
    """
    program = pgbackrest(settings)
    with exclusive(settings.state_dir, "pitr check", "a check of the archive"):
        found = _Check(settings, program, request.timeout)
        progress.phase("end a segment and wait until it is archived")
        found.archiving()
        progress.phase("look for gaps")
        found.repositories()
        return found.report()


@dataclass
class _Check:
    """What one check has found so far."""

    settings: Settings
    program: PgBackRest
    timeout: timedelta
    segment: str | None = None
    seconds: float | None = None
    hours: float | None = None
    history: Path | None = None
    problems: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    told_once: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    looked: list[RepositoryCheck] = field(default_factory=list)

    def archiving(self) -> None:
        """End a segment and wait for it; what is wrong is remembered."""
        try:
            with server(self.settings).connect_maintenance() as session, told("checking the archive"):
                require_superuser(session)
                self.history = history_file(session)
                self._archive(session)
        except PgkeeperError as error:
            self.problems.append(str(error))

    def repositories(self) -> None:
        """Look into every attached repository: whether the segment is there, and for gaps."""
        for name in detached(self.settings):
            since = detached_since(self.settings, name)
            when = f" since {since:%Y-%m-%d %H:%M} UTC" if since else ""
            self.warnings.append(f"repository {name} is detached{when}: nothing is archived there until `pgkeeper pitr attach {name}`")
        contents, failed = look_into(self.settings, attached(self.settings), _READING)
        for name, error in failed.items():
            why = as_error_info(error, f"looking into repository {name}")
            lets_go_on = "; `pgkeeper pitr detach cloud` lets the others go on"
            self.problems.append(f"{why}{lets_go_on if name == 'cloud' and self.seconds is None else ''}")
            self.looked.append(RepositoryCheck(repository=name, error=why))
        spans: dict[RepositoryName, tuple[Span, ...]] = {}
        timeline: int | None = None
        for name, known in contents.items():
            there = self._has(name, known.info.archive_id)
            if self.seconds is not None and not there:
                self.problems.append(f"the server takes its log for archived, but repository {name} has no segment {self.segment}")
            number = int(self.history.stem, 16) if self.history else 1
            archived = "" if number in known.archive.unreadable else known.archive.histories.get(number)
            if lacking := history_problem(self.history, name, known.info.archive_id, self.program, archived):
                self.problems.append(lacking)
            if foreign := foreign_cluster(self.settings, known.info.system_identifier):
                self.problems.append(f"repository {name}: {foreign}")
            production = production_lineage(self.settings, known.info.system_identifier, known.archive.histories)
            spans[name], timeline = known.coverage.spans, production.timeline if production else timeline
            for said in timeline_warnings(known, production):
                (self.warnings if ToldRecord(self.settings).knows(said) else self.told_once).append(said)
            lost: list[Gap | Barrier] = [*known.coverage.gaps, *known.coverage.barriers]
            newest = production.timeline if production else max((one.timeline for one in lost), default=0)
            for one in lost:
                if production is None or not production.strangers([one.timeline]):
                    self._lost(name, one, is_newest=one.timeline == newest)
            self._backups(name, known.info.backups)
            self.looked.append(RepositoryCheck(repository=name, archived=there, gaps=known.coverage.gaps, barriers=known.coverage.barriers))
        remember_windows(spans, timeline, datetime.now(UTC), self.settings)

    def report(self) -> PitrCheckReport:
        """Tell the owner where that is due, and return what was found."""
        problems = [*self.problems, *self.told_once, *self.gaps]
        if ToldRecord(self.settings).due(self.problems, (*self.told_once, *self.gaps), datetime.now(UTC)):
            self.warnings += tell_pitr_failed(problems, self.hours, self.settings)
        for problem in problems:
            log.error("the archive is not well", problem=problem)
        return PitrCheckReport(
            segment=self.segment,
            seconds=self.seconds,
            repositories=tuple(sorted(self.looked, key=lambda one: number_of(one.repository))),
            hours_until_full=round(self.hours, 1) if self.hours is not None else None,
            problems=tuple(problems),
            damaged=bool(self.gaps),
            warnings=tuple(self.warnings),
        )

    def _archive(self, session: Session) -> None:
        began = time.monotonic()
        self.segment = end_segment(session, "pgkeeper pitr check")
        while is_waiting(session, self.segment):
            if time.monotonic() - began > self.timeout.total_seconds():
                break
            time.sleep(_POLL_SECONDS)
        else:
            self.seconds = round(time.monotonic() - began, 2)
        state = archiver_state(session)
        archiving = archiving_of(state, self.settings)
        if archiving.problem:
            self.seconds = None if archiving.ours is False or archiving.mode == "off" else self.seconds
            self.problems.append(archiving.problem)
        elif self.seconds is None:
            self.problems.append(f"segment {self.segment} was not archived within {self.timeout.total_seconds():.0f} s")
        if self.problems:
            self.hours = _hours(session, Path(state.data_directory), state.segment_bytes)

    def _has(self, name: RepositoryName, archive_id: str) -> bool:
        try:
            return self.segment is not None and archive_has(self.program, number_of(name), archive_id, self.segment)
        except PgkeeperError as error:
            self.problems.append(str(error))
            return False

    def _backups(self, name: RepositoryName, backups: Sequence[PhysicalBackup]) -> None:
        newest = max((backup.stopped_at for backup in backups), default=None)
        if newest is None:
            self.problems.append(f"repository {name} has no backup: nothing can be brought back from it (`pgkeeper pitr backup`)")
        elif newest < datetime.now(UTC) - _OLD:
            since = f"the newest backup in repository {name} is of {newest:%Y-%m-%d}"
            self.problems.append(f"{since}: all the log since then must be replayed (`pgkeeper pitr backup`)")

    def _lost(self, name: RepositoryName, lost: Gap | Barrier, *, is_newest: bool) -> None:
        """Remember what keeps moments from being brought back: as a problem while that lasts, and else when it is new."""
        if isinstance(lost, Gap):
            segments = f"segment {lost.first_segment}" if lost.segments == 1 else f"{lost.segments} segments from {lost.first_segment} on"
            what = f"repository {name} misses {segments} (timeline {lost.timeline})"
        else:
            where = f"at {lost.lsn} (timeline {lost.timeline})"
            what = f"no recovery from repository {name} passes wal_level=minimal, with which the server was started {where}"
        if lost.before is None and is_newest:
            self.gaps.append(
                f"{what}: nothing after it can be brought back until there is a new backup (`pgkeeper pitr backup --kind full`)"
            )
        else:
            known = ToldRecord(self.settings).knows(what)
            after, before = (f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else "" for at in (lost.after, lost.before))
            lost_moments = f"after {after or 'the beginning'}" + (f" until {before}" if before else "")
            (self.warnings if known else self.gaps).append(f"{what}: nothing {lost_moments} can be brought back")


def _hours(session: Session, data: Path, segment_bytes: int) -> float | None:
    """Return when the disk of the log is full; None where it is not this host's, or the log does not grow."""
    with suppress(OSError):
        free = shutil.disk_usage(data / "pg_wal").free
        return hours_until_full(WalDisk(free, wal_bytes_per_second(session, segment_bytes)))
    return None
