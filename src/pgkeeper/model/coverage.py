"""Coverage: which moments a repository can bring back, and where its log has gaps.

Recovery begins with a backup and reads every segment from the backup's first one on, each from the file of the newest timeline on the way
that begins in it or before. So what counts are runs of segments without a hole, and the backups that lie in them.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from pgkeeper.model.physical_backup import PhysicalBackup
from pgkeeper.model.timelines import Leg, segment_on, way_to
from pgkeeper.model.wal import DEFAULT_SEGMENT_BYTES, Segment, format_lsn, parse_lsn


class Commit(BaseModel):
    """A transaction that became visible: `at` is what its record says, `lsn` where the record begins."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    lsn: str
    xid: int


class Span(BaseModel):
    """Moments without a gap between them, on the way to the end of one timeline.

    It begins where the first backup is surely consistent, at most a second late, and ends with the last commit that is archived before the
    next gap: what lies behind that commit up to `end_lsn` changes nothing. Without a commit behind the backup it is that one moment.
    `backups` are the labels of those that lie in it, the oldest first. `open` is False where a gap ends it.
    """

    model_config = ConfigDict(frozen=True)

    timeline: int
    backups: tuple[str, ...]
    begins_at: datetime
    ends_at: datetime
    begin_lsn: str
    end_lsn: str
    open: bool


class Gap(BaseModel):
    """Segments that are missing between others, on the way to the end of one timeline.

    `after` is the last commit that can be brought back before it, `before` the first moment behind it: that of the next backup, None as
    long as there is none.
    """

    model_config = ConfigDict(frozen=True)

    timeline: int
    first_segment: str
    last_segment: str
    segments: int
    after: datetime | None
    before: datetime | None


class Fork(BaseModel):
    """Where the way to the end of a timeline leaves another one: `last` is the last commit before that in a span."""

    model_config = ConfigDict(frozen=True)

    timeline: int
    left: int
    last: Commit


class Unusable(BaseModel):
    """A timeline whose history PostgreSQL would refuse, and why."""

    model_config = ConfigDict(frozen=True)

    timeline: int
    why: str


class Barrier(BaseModel):
    """Where production was started with wal_level=minimal: no recovery passes the record at `lsn`, and what follows is not all in the log.

    `after` is the last commit that can be brought back before it, `before` the first moment behind it: that of the next backup, None as
    long as there is none. `segment` holds the record, on the way to the end of `timeline`.
    """

    model_config = ConfigDict(frozen=True)

    timeline: int
    lsn: str
    segment: str
    after: datetime | None
    before: datetime | None


class Coverage(BaseModel):
    """What one repository covers. Spans, gaps, barriers and forks are ordered by timeline, then as the log goes on.

    `begun` are timelines that have no span yet: a backup leads to them and their log is not archived, or the other way round. What has
    neither is the history of a timeline that is gone.
    """

    model_config = ConfigDict(frozen=True)

    repository: int
    spans: tuple[Span, ...]
    gaps: tuple[Gap, ...]
    barriers: tuple[Barrier, ...] = ()
    forks: tuple[Fork, ...] = ()
    begun: tuple[int, ...] = ()
    unusable: tuple[Unusable, ...] = ()


@dataclass(frozen=True)
class Archived:
    """The log that a repository holds: whole segments, and the history file of each timeline that has one.

    `unreadable` says why there is none of a timeline that has one. `barriers` are the positions of the records that no recovery passes, the
    first one of each segment that has any, as far as is known.
    """

    segments: Collection[Segment]
    histories: Mapping[int, str]
    segment_bytes: int = DEFAULT_SEGMENT_BYTES
    barriers: Mapping[Segment, int] = field(default_factory=dict)
    unreadable: Mapping[int, str] = field(default_factory=dict)


LastCommit = Callable[[Segment, int | None], Commit | None]
"""Returns the last commit whose record ends in a segment, and begins before a position, if one is given."""


def coverage(repository: int, backups: Collection[PhysicalBackup], archived: Archived, last_commit: LastCommit) -> Coverage:
    """Return what a repository covers.

    `last_commit` is asked of as few segments as possible: from the last one of each run, and from each fork, back to the first that has
    any. A timeline that was left for another one is a way of its own as long as its log is there. A history that PostgreSQL would refuse
    makes its own timeline unusable, and nothing else.
    """
    labels = {backup.label for backup in backups}
    usable = sorted((backup for backup in backups if labels.issuperset(backup.prior)), key=_position)
    spans: list[Span] = []
    gaps: list[Gap] = []
    barriers: list[Barrier] = []
    forks: list[Fork] = []
    begun: list[int] = []
    unusable: list[Unusable] = []
    written = {segment.timeline for segment in archived.segments} | {backup.timeline for backup in usable}
    for timeline in sorted(written | archived.histories.keys() | archived.unreadable.keys()):
        try:
            if timeline in archived.unreadable:
                raise ValueError(archived.unreadable[timeline])
            way = _Way(timeline, archived)
        except ValueError as error:
            unusable.append(Unusable(timeline=timeline, why=str(error)))
            continue
        before = [backup for backup in usable if way.leads_over(backup)]
        # Without log of its own its way would end on the timeline that it left.
        found = list(_spans(way, before, last_commit)) if timeline in written else []
        spans += [span for _, span in found]
        if before and timeline in written:
            gaps += _gaps(way, before, found)
            barriers += _barriers(way, before, found)
        for run, span in found:
            forks += _forks(way, run, span, last_commit)
        if not found and (before or timeline in written):
            begun.append(timeline)
    return Coverage(
        repository=repository,
        spans=tuple(spans),
        gaps=tuple(gaps),
        barriers=tuple(barriers),
        forks=tuple(forks),
        begun=tuple(begun),
        unusable=tuple(unusable),
    )


@dataclass(frozen=True)
class _Run:
    """Segments without a hole, by their numbers, both included; `barrier` is the position in the last one that no recovery passes."""

    first: int
    last: int
    barrier: int | None = None


class _Way:
    """The way to the end of one timeline, and what is there of it."""

    def __init__(self, timeline: int, archived: Archived) -> None:
        self.timeline = timeline
        self._bytes = archived.segment_bytes
        # Without its history PostgreSQL takes a timeline for one that descends from none.
        self.legs = way_to(timeline, archived.histories.get(timeline, ""))
        numbers = sorted(segment.number for segment in archived.segments if self.segment(segment.number) == segment)
        self.runs = tuple(part for run in _runs(numbers) for part in self._parts(run, archived.barriers))

    def segment(self, number: int) -> Segment:
        """Return which file holds a segment."""
        return segment_on(self.legs, number, self._bytes)

    def _parts(self, run: _Run, barriers: Mapping[Segment, int]) -> Iterator[_Run]:
        """Yield what is left of a run between barriers. A backup behind one begins in a later segment: PostgreSQL ends the one before."""
        first = run.first
        for number in range(run.first, run.last + 1):
            if (barrier := barriers.get(self.segment(number))) is not None:
                yield _Run(first, number, barrier)
                first = number + 1
        if first <= run.last:
            yield _Run(first, run.last)

    def leads_over(self, backup: PhysicalBackup) -> bool:
        """Tell whether a backup was begun and ended on the way."""
        return any(
            leg.timeline == backup.timeline and leg.begin <= parse_lsn(backup.begin_lsn) and _ends_before(backup, leg) for leg in self.legs
        )

    def within(self, backup: PhysicalBackup, run: _Run) -> bool:
        """Tell whether all segments that a backup itself needs are in a run."""
        begin, end = self.numbers(backup)
        return run.first <= begin and end <= run.last and (run.barrier is None or parse_lsn(backup.end_lsn) <= run.barrier)

    def numbers(self, backup: PhysicalBackup) -> tuple[int, int]:
        """Return the numbers of the first and the last segment that a backup itself needs."""
        return Segment.parse(backup.begin_segment, self._bytes).number, Segment.parse(backup.end_segment, self._bytes).number

    def number(self, position: int) -> int:
        """Return the number of the segment that holds the byte at a position."""
        return position // self._bytes

    def name(self, number: int) -> str:
        """Return the file name of a segment."""
        return self.segment(number).name(self._bytes)


def _spans(way: _Way, backups: Sequence[PhysicalBackup], last_commit: LastCommit) -> Iterator[tuple[_Run, Span]]:
    for run in way.runs:
        inside = [backup for backup in backups if way.within(backup, run)]
        if not inside:
            continue
        first = min(inside, key=lambda backup: parse_lsn(backup.end_lsn))
        end = _last_commit(way, parse_lsn(first.end_lsn), run.last, last_commit, run.barrier)
        newest = max(parse_lsn(backup.end_lsn) for backup in inside)
        yield (
            run,
            Span(
                timeline=way.timeline,
                backups=tuple(backup.label for backup in inside),
                # A commit behind the backup's end is within it, though its time may be in the same second, or the clock was set back.
                begins_at=min(end.at, first.consistent_at) if end else first.consistent_at,
                ends_at=end.at if end else first.consistent_at,
                begin_lsn=first.end_lsn,
                end_lsn=format_lsn(max(newest, parse_lsn(end.lsn) if end else 0)),
                open=run == way.runs[-1] and run.barrier is None and not any(way.numbers(backup)[1] > run.last for backup in backups),
            ),
        )


def _last_commit(way: _Way, begin: int, last: int, last_commit: LastCommit, before: int | None = None) -> Commit | None:
    """Return the last commit behind position `begin` up to segment number `last`, and before a position in that one, if it is given."""
    for number in range(last, way.number(begin) - 1, -1):
        if found := last_commit(way.segment(number), before if number == last else None):
            return found if parse_lsn(found.lsn) >= begin else None
    return None


def _forks(way: _Way, run: _Run, span: Span, last_commit: LastCommit) -> Iterator[Fork]:
    """Yield where the way leaves a timeline within a span or behind it, if anything was committed between the span's begin and there."""
    begin = parse_lsn(span.begin_lsn)
    for leg in way.legs:
        if leg.end is None or leg.end <= begin:
            continue
        inside = way.number(leg.end) <= run.last and (run.barrier is None or leg.end <= run.barrier)
        number, before = (way.number(leg.end), leg.end) if inside else (run.last, run.barrier)
        if last := _last_commit(way, begin, number, last_commit, before):
            yield Fork(timeline=way.timeline, left=leg.timeline, last=last)
        if not inside:
            return


def _gaps(way: _Way, backups: Sequence[PhysicalBackup], found: Sequence[tuple[_Run, Span]]) -> Iterator[Gap]:
    """Yield what is missing from the first backup on. What is missing before it serves nobody."""
    reached = min(way.numbers(backup)[0] for backup in backups)
    beyond = max(way.numbers(backup)[1] for backup in backups) + 1
    for run in (*way.runs, _Run(beyond, beyond)):
        if run.first > reached:
            yield Gap(
                timeline=way.timeline,
                first_segment=way.name(reached),
                last_segment=way.name(run.first - 1),
                segments=run.first - reached,
                after=max((span.ends_at for other, span in found if other.last < reached), default=None),
                before=min((span.begins_at for other, span in found if other.first >= run.first), default=None),
            )
        reached = max(reached, run.last + 1)


def _barriers(way: _Way, backups: Sequence[PhysicalBackup], found: Sequence[tuple[_Run, Span]]) -> Iterator[Barrier]:
    """Yield where recovery ends from the first backup on, though the log goes on."""
    begin = min(way.numbers(backup)[0] for backup in backups)
    for run in way.runs:
        if run.barrier is not None and run.last >= begin:
            yield Barrier(
                timeline=way.timeline,
                lsn=format_lsn(run.barrier),
                segment=way.name(run.last),
                after=max((span.ends_at for other, span in found if other.last <= run.last), default=None),
                before=min((span.begins_at for other, span in found if other.first > run.last), default=None),
            )


def _runs(numbers: Sequence[int]) -> Iterator[_Run]:
    first = None
    for at, number in enumerate(numbers):
        first = number if first is None else first
        if at + 1 == len(numbers) or numbers[at + 1] != number + 1:
            yield _Run(first, number)
            first = None


def _position(backup: PhysicalBackup) -> tuple[int, datetime]:
    return parse_lsn(backup.begin_lsn), backup.started_at


def _ends_before(backup: PhysicalBackup, leg: Leg) -> bool:
    return leg.end is None or parse_lsn(backup.end_lsn) <= leg.end
