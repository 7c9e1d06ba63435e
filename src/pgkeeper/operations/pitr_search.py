"""Finding a name or a transaction in the archived log: where its record lies, and on which timeline."""

from collections.abc import Iterator
from dataclasses import dataclass

from pgkeeper.model.counts import count
from pgkeeper.model.coverage import Commit, Span
from pgkeeper.model.errors import RefusedError
from pgkeeper.model.progress import Progress
from pgkeeper.model.recovery_target import Target
from pgkeeper.model.restore_point import Mark, RestorePoint
from pgkeeper.model.timelines import Lineage, leg_at, segment_on, way_to
from pgkeeper.model.wal import Segment, parse_lsn
from pgkeeper.operations.archived_facts import ArchivedFacts
from pgkeeper.operations.pitr import pgbackrest
from pgkeeper.operations.pitr_coverage import RepositoryContents
from pgkeeper.operations.pitr_marks import read_marks
from pgkeeper.settings import Settings

_LONGEST_RECORD = 512
"""Bytes from the begin of a restore point's record to its end, with the headers of pages between (access/xlogrecord.h): about 100."""


@dataclass(frozen=True)
class Found:
    """Where a record begins; `timeline` is one whose way leads over it."""

    position: str
    timeline: int


def find(
    target: Target, contents: RepositoryContents, timeline: int | None, production: Lineage | None, settings: Settings, progress: Progress
) -> Found:
    """Return where the name or the transaction of a target lies, on the way to `timeline`, or else where production was.

    It is looked for from the newest segment of production's way backwards, then in those of other timelines, each of which is fetched for a
    transaction; where a mark of this host lies is known. Of several records with a name the newest is meant, or the mark's own. Raises
    RefusedError when it is not in what is archived, or only where production never was.
    """
    mark = next((mark for mark in read_marks(settings).marks if mark.name == target.name), None) if target.kind == "name" else None
    elsewhere: int | None = None
    for segment, record in _records(target, mark, contents, production, settings, progress):
        same = _is_meant(record, target, mark) if isinstance(record, RestorePoint) else record.xid == target.xid
        found = _placed(record.lsn, mark.timeline if mark else segment.timeline, contents, timeline, production) if same else None
        if found is None:
            continue
        if timeline is not None or production is None or not production.strangers([found.timeline]):
            return found
        elsewhere = elsewhere or found.timeline
    if elsewhere is not None:
        raise RefusedError(
            f"{target.describe()} is not in the log of production",
            f"timeline {elsewhere} has it, on which production never was",
            f"--timeline {elsewhere} recovers it from there",
        )
    raise RefusedError(
        f"{target.describe()} is not in what repository {contents.name} has of the log",
        f"{count(len(contents.archive.segments), 'segment was', 'segments were')} looked into",
        "`pgkeeper pitr window` shows marks, and which moments can be had; what was done a moment ago may not be archived yet",
    )


def _is_meant(record: RestorePoint, target: Target, mark: Mark | None) -> bool:
    """Tell whether a record of that name is the one: of a mark, the one that ends where the mark does."""
    return record.name == target.name and (mark is None or 0 < parse_lsn(mark.lsn) - parse_lsn(record.lsn) <= _LONGEST_RECORD)


def _placed(position: str, timeline: int, contents: RepositoryContents, wanted: int | None, production: Lineage | None) -> Found | None:
    """Return a timeline whose way leads over a position on `timeline` that is archived.

    It is the one that is wanted, or production's, or the newest one that production was on, or else the newest of all.
    """

    def rank(span: Span) -> tuple[bool, bool, int]:
        is_known = production is not None and span.timeline in production.known
        return production is not None and span.timeline == production.timeline, is_known, span.timeline

    size = contents.segment_bytes
    number = max(parse_lsn(position) - 1, 0) // size
    for span in sorted(contents.coverage.spans, key=rank, reverse=True):
        way = way_to(span.timeline, contents.archive.histories.get(span.timeline, ""))
        leg = leg_at(way, parse_lsn(position))
        archived = segment_on(way, number, size).name(size) in contents.archive.segments
        if leg.timeline == timeline and archived and wanted in (None, span.timeline):
            return Found(position, span.timeline)
    return None


def _records(
    target: Target,
    mark: Mark | None,
    contents: RepositoryContents,
    production: Lineage | None,
    settings: Settings,
    progress: Progress,
) -> Iterator[tuple[Segment, Commit | RestorePoint]]:
    """Yield names or commits, those of production's way first, the newest before; for a mark, those alone that can hold its record."""
    facts = ArchivedFacts(settings, pgbackrest(settings))
    size = contents.segment_bytes

    def rank(segment: Segment) -> tuple[bool, bool, Segment]:
        if production is None:
            return False, False, segment
        return segment_on(production.way, segment.number, size) == segment, segment.timeline in production.known, segment

    segments = sorted((Segment.parse(name, size) for name in contents.archive.segments), key=rank, reverse=True)
    if mark is not None:
        holding = {position // size for position in (parse_lsn(mark.lsn) - 1, parse_lsn(mark.lsn) - _LONGEST_RECORD)}
        segments = [segment for segment in segments if segment.number in holding]
    progress.phase(f"look for {target.describe()} in the archived log")
    for done, segment in enumerate(segments, 1):
        file = contents.archive.segments[segment.name(size)]
        if target.kind == "name":
            yield from ((segment, point) for point in reversed(facts.of(contents.info, file).restore_points))
        else:
            yield from ((segment, commit) for commit in facts.commits(contents.info, file))
        progress.advance(done, len(segments))
    facts.keep(None)
