"""Coverage: which moments a repository can bring back, and where its log has gaps.

Recovery begins with a backup and reads every segment from the backup's first one on, each from the file of the newest timeline on the way
that begins in it or before. So what counts are runs of segments without a hole, and the backups that lie in them.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from pgkeeper.model.physical_backup import PhysicalBackup
from pgkeeper.model.wal import DEFAULT_SEGMENT_BYTES, Leg, Segment, format_lsn, parse_lsn, segment_on, way_to


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


class Coverage(BaseModel):
    """What one repository covers. Spans and gaps are ordered by timeline, then by time."""

    model_config = ConfigDict(frozen=True)

    repository: int
    spans: tuple[Span, ...]
    gaps: tuple[Gap, ...]


@dataclass(frozen=True)
class Archived:
    """The log that a repository holds: whole segments, and the history file of each timeline that has one."""

    segments: Collection[Segment]
    histories: Mapping[int, str]
    segment_bytes: int = DEFAULT_SEGMENT_BYTES


def coverage(
    repository: int, backups: Collection[PhysicalBackup], archived: Archived, last_commit: Callable[[Segment], Commit | None]
) -> Coverage:
    """Return what a repository covers.

    `last_commit` is asked for the last commit whose record ends in a segment, of as few segments as possible: from the last one of each run
    back to the first that has any. A timeline that was left for another one is a way of its own as long as its log is there. Raises
    ValueError for a history that PostgreSQL would refuse.
    """
    labels = {backup.label for backup in backups}
    usable = sorted((backup for backup in backups if labels.issuperset(backup.prior)), key=_position)
    spans: list[Span] = []
    gaps: list[Gap] = []
    for timeline in sorted({segment.timeline for segment in archived.segments} | {backup.timeline for backup in usable}):
        way = _Way(timeline, archived)
        begun = [backup for backup in usable if way.leads_over(backup)]
        if begun:
            found = list(_spans(way, begun, last_commit))
            spans += [span for _, span in found]
            gaps += _gaps(way, begun, found)
    return Coverage(repository=repository, spans=tuple(spans), gaps=tuple(gaps))


@dataclass(frozen=True)
class _Run:
    """Segments without a hole, by their numbers, both included."""

    first: int
    last: int


class _Way:
    """The way to the end of one timeline, and what is there of it."""

    def __init__(self, timeline: int, archived: Archived) -> None:
        self.timeline = timeline
        self._bytes = archived.segment_bytes
        # Without its history PostgreSQL takes a timeline for one that descends from none.
        self._legs = way_to(timeline, archived.histories.get(timeline, ""))
        numbers = sorted(segment.number for segment in archived.segments if self.segment(segment.number) == segment)
        self.runs = tuple(_runs(numbers))

    def segment(self, number: int) -> Segment:
        """Return which file holds a segment."""
        return segment_on(self._legs, number, self._bytes)

    def leads_over(self, backup: PhysicalBackup) -> bool:
        """Tell whether a backup was begun and ended on the way."""
        return any(
            leg.timeline == backup.timeline and leg.begin <= parse_lsn(backup.begin_lsn) and _ends_before(backup, leg) for leg in self._legs
        )

    def within(self, backup: PhysicalBackup, run: _Run) -> bool:
        """Tell whether all segments that a backup itself needs are in a run."""
        begin, end = self.numbers(backup)
        return run.first <= begin and end <= run.last

    def numbers(self, backup: PhysicalBackup) -> tuple[int, int]:
        """Return the numbers of the first and the last segment that a backup itself needs."""
        return Segment.parse(backup.begin_segment, self._bytes).number, Segment.parse(backup.end_segment, self._bytes).number

    def name(self, number: int) -> str:
        """Return the file name of a segment."""
        return self.segment(number).name(self._bytes)


def _spans(way: _Way, backups: Sequence[PhysicalBackup], last_commit: Callable[[Segment], Commit | None]) -> Iterator[tuple[_Run, Span]]:
    for run in way.runs:
        inside = [backup for backup in backups if way.within(backup, run)]
        if not inside:
            continue
        first = min(inside, key=lambda backup: parse_lsn(backup.end_lsn))
        end = _last_commit(way, run, first, last_commit)
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
                open=run == way.runs[-1] and not any(way.numbers(backup)[1] > run.last for backup in backups),
            ),
        )


def _last_commit(way: _Way, run: _Run, first: PhysicalBackup, last_commit: Callable[[Segment], Commit | None]) -> Commit | None:
    """Return the last commit of a run behind the end of its first backup."""
    for number in range(run.last, way.numbers(first)[1] - 1, -1):
        if found := last_commit(way.segment(number)):
            return found if parse_lsn(found.lsn) >= parse_lsn(first.end_lsn) else None
    return None


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
