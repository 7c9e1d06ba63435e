"""Finding a name or a transaction in the archived log: where its record lies, and on which timeline."""

from collections.abc import Iterator
from dataclasses import dataclass

from pgkeeper.model.coverage import Commit
from pgkeeper.model.errors import RefusedError
from pgkeeper.model.progress import Progress
from pgkeeper.model.recovery_target import Target
from pgkeeper.model.restore_point import Mark, RestorePoint
from pgkeeper.model.wal import Segment, parse_lsn, segment_on, way_to
from pgkeeper.operations.archived_facts import ArchivedFacts
from pgkeeper.operations.pitr import pgbackrest
from pgkeeper.operations.pitr_coverage import RepositoryContents
from pgkeeper.operations.pitr_marks import read_marks
from pgkeeper.settings import Settings

_LONGEST_RECORD = 512
"""Bytes from the begin of a restore point's record to its end, with the headers of pages between (access/xlogrecord.h): about 100."""


@dataclass(frozen=True)
class Found:
    """Where a record begins; `timeline` is the newest one whose way leads over it."""

    position: str
    timeline: int


def find(target: Target, contents: RepositoryContents, timeline: int | None, settings: Settings, progress: Progress) -> Found:
    """Return where the name or the transaction of a target lies, on `timeline` or the newest one that has it.

    It is looked for from the newest segment backwards, each of which is fetched for a transaction; where a mark of this host lies is known.
    Of several records with a name the newest is meant, or the mark's own. Raises RefusedError when it is not in what is archived.
    """
    mark = next((mark for mark in read_marks(settings).marks if mark.name == target.name), None) if target.kind == "name" else None
    for segment, record in _records(target, mark, contents, settings, progress):
        same = _is_meant(record, target, mark) if isinstance(record, RestorePoint) else record.xid == target.xid
        if same and (found := _placed(record.lsn, mark.timeline if mark else segment.timeline, contents, timeline)):
            return found
    raise RefusedError(
        f"{target.describe()} is not in what repository {contents.name} has of the log",
        f"{len(contents.archive.segments)} segments were looked into",
        "`pgkeeper pitr window` shows marks, and which moments can be had; what was done a moment ago may not be archived yet",
    )


def _is_meant(record: RestorePoint, target: Target, mark: Mark | None) -> bool:
    """Tell whether a record of that name is the one: of a mark, the one that ends where the mark does."""
    return record.name == target.name and (mark is None or 0 < parse_lsn(mark.lsn) - parse_lsn(record.lsn) <= _LONGEST_RECORD)


def _placed(position: str, timeline: int, contents: RepositoryContents, wanted: int | None) -> Found | None:
    """Return the newest timeline, or the one that is wanted, whose way leads over a position on `timeline` that is archived."""
    size = contents.segment_bytes
    number = max(parse_lsn(position) - 1, 0) // size
    for span in sorted(contents.coverage.spans, key=lambda one: one.timeline, reverse=True):
        way = way_to(span.timeline, contents.archive.histories.get(span.timeline, ""))
        leg = next(leg for leg in way if leg.end is None or parse_lsn(position) <= leg.end)
        archived = segment_on(way, number, size).name(size) in contents.archive.segments
        if leg.timeline == timeline and archived and wanted in (None, span.timeline):
            return Found(position, span.timeline)
    return None


def _records(
    target: Target, mark: Mark | None, contents: RepositoryContents, settings: Settings, progress: Progress
) -> Iterator[tuple[Segment, Commit | RestorePoint]]:
    """Yield names or commits, those of the newest segments first; for a mark, of those alone that can hold its record."""
    facts = ArchivedFacts(settings, pgbackrest(settings))
    size = contents.segment_bytes
    files = sorted(contents.archive.segments.values(), key=lambda file: Segment.parse(file.name, size), reverse=True)
    if mark is not None:
        holding = {position // size for position in (parse_lsn(mark.lsn) - 1, parse_lsn(mark.lsn) - _LONGEST_RECORD)}
        files = [file for file in files if Segment.parse(file.name, size).number in holding]
    progress.phase(f"look for {target.describe()} in the archived log")
    for done, file in enumerate(files, 1):
        segment = Segment.parse(file.name, size)
        if target.kind == "name":
            yield from ((segment, point) for point in reversed(facts.of(contents.info, file).restore_points))
        else:
            yield from ((segment, commit) for commit in facts.commits(contents.info, file))
        progress.advance(done, len(files))
    facts.keep(None)
