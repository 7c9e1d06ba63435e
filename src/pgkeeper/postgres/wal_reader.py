"""Reading a segment of the log with pg_waldump: its commits, its restore points, and where wal_level became minimal.

What pg_waldump prints is that of PostgreSQL's rmgrdesc (xactdesc.c, xlogdesc.c), with times in the time zone it is given.
"""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pgkeeper.host.processes import Child, describe
from pgkeeper.model.coverage import Commit
from pgkeeper.model.errors import OperationFailed
from pgkeeper.model.restore_point import RestorePoint
from pgkeeper.postgres.programs import program

_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
_RECORD = re.compile(r"rmgr: (\w+) .*?, tx: +(\d+), lsn: ([0-9A-F]+/[0-9A-F]+), .*?desc: (\w+) ?(.*)")
# A prepared transaction is committed under another id than the record's own.
_COMMIT = re.compile(r"(?:(\d+): )?(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?) UTC")
_ENDED_WELL = (0, 1)
_SINCE_TWO_KINDS = 15
"""The first major whose pg_waldump can be asked for two kinds of records at once."""


_MINIMAL = re.compile(r"\bwal_level=minimal\b")


@dataclass(frozen=True)
class MinimalLevel:
    """A start of the server with wal_level=minimal: at `lsn` is its record, which no recovery passes.

    PostgreSQL 14 and later end there (xlogrecovery.c, CheckRequiredParameterValues). Earlier ones warn, and lack what was not written.
    """

    lsn: str


@dataclass(frozen=True)
class SegmentContents:
    """What a segment says, in the order of the log; `minimal_from` is the position of the first record that no recovery passes."""

    commits: int
    last_commit: Commit | None
    restore_points: tuple[RestorePoint, ...]
    minimal_from: str | None = None


def read_segment(segment: Path, major: int) -> SegmentContents:
    """Return what a segment, a file under its own name, holds. Raises what `records` raises."""
    commits, last = 0, None
    points: list[RestorePoint] = []
    minimal: list[str] = []
    for record in records(segment, major):
        match record:
            case Commit():
                commits, last = commits + 1, record
            case RestorePoint():
                points.append(record)
            case MinimalLevel():
                minimal.append(record.lsn)
    return SegmentContents(commits, last, tuple(points), minimal[0] if minimal else None)


def records(segment: Path, major: int) -> Iterator[Commit | RestorePoint | MinimalLevel]:
    """Yield what is read of a segment, of records that begin and end in it, in the order of the log.

    A segment's last record may go on in the next one, and its first bytes may belong to the one before: pg_waldump then ends with an error,
    which is none. Raises ConfigurationError (exit status 3) where that major's pg_waldump is missing, OperationFailed when it crashes.
    """
    kinds = ["--rmgr=Transaction", "--rmgr=XLOG"] if major >= _SINCE_TWO_KINDS else []
    with Child([program("pg_waldump", major, same=True), *kinds, segment], _ENVIRONMENT, stdout=subprocess.PIPE) as child:
        for line in child.stdout:
            if (record := _parse(line.decode("utf-8", "replace").rstrip("\n"))) is not None:
                yield record
        status = child.wait(60)
        if status not in _ENDED_WELL:
            raise OperationFailed(f"reading segment {segment.name} failed", describe(child, status))


def _parse(line: str) -> Commit | RestorePoint | MinimalLevel | None:
    found = _RECORD.match(line)
    if found is None:
        return None
    manager, xid, lsn, kind, rest = found.groups()
    if manager == "XLOG" and kind == "RESTORE_POINT":
        return RestorePoint(name=rest, lsn=lsn)
    if manager == "XLOG" and kind == "PARAMETER_CHANGE" and _MINIMAL.search(rest):
        return MinimalLevel(lsn)
    if manager == "Transaction" and kind in ("COMMIT", "COMMIT_PREPARED") and (said := _COMMIT.match(rest)):
        return Commit(at=datetime.fromisoformat(said[2]).replace(tzinfo=UTC), lsn=lsn, xid=int(said[1] or xid))
    return None
