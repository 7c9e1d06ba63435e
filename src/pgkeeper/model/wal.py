"""Write-ahead log: positions, the segments they lie in, timelines and their histories.

Segment names and history files are PostgreSQL's (access/xlog_internal.h and timeline.c; documentation, "Continuous Archiving" and "WAL
Internals"): 8 hexadecimal digits each of the timeline, and of the two halves of the segment's number.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

DEFAULT_SEGMENT_BYTES = 16 << 20
_SEGMENT = re.compile(r"[0-9A-F]{24}")
_LSN = re.compile(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})")
_HISTORY = re.compile(r"^\s*(\d+)\s+([0-9A-Fa-f]+/[0-9A-Fa-f]+)")


def history_name(timeline: int) -> str:
    """Return the file name of a timeline's history. Timeline 1 has none."""
    return f"{timeline:08X}.history"


def timeline_of(segment: str) -> int:
    """Return the timeline of a segment by its file name, whatever its size. Raises ValueError for what is no segment's."""
    if _SEGMENT.fullmatch(segment) is None:
        raise ValueError(f"{segment!r} is no WAL segment")
    return int(segment[:8], 16)


def parse_lsn(text: str) -> int:
    """Return a position in bytes from `16/B374D848`. Raises ValueError for anything else."""
    found = _LSN.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no position in the write-ahead log, as 16/B374D848 is")
    return int(found[1], 16) << 32 | int(found[2], 16)


def format_lsn(position: int) -> str:
    """Return a position as PostgreSQL writes it."""
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


@dataclass(frozen=True, order=True)
class Segment:
    """One segment: `number` counts from the beginning of the log, whatever the timeline."""

    timeline: int
    number: int

    @classmethod
    def parse(cls, name: str, segment_bytes: int = DEFAULT_SEGMENT_BYTES) -> "Segment":
        """Return the segment of a file name. Raises ValueError for what is no segment's."""
        timeline, per_id = timeline_of(name), _per_id(segment_bytes)
        high, low = (int(name[at : at + 8], 16) for at in (8, 16))
        if low >= per_id:
            raise ValueError(f"{name!r} is no WAL segment of {segment_bytes} bytes")
        return cls(timeline, high * per_id + low)

    @classmethod
    def holding(cls, timeline: int, position: int, segment_bytes: int = DEFAULT_SEGMENT_BYTES) -> "Segment":
        """Return the segment that holds the byte at a position."""
        return cls(timeline, position // segment_bytes)

    def name(self, segment_bytes: int = DEFAULT_SEGMENT_BYTES) -> str:
        """Return its file name."""
        high, low = divmod(self.number, _per_id(segment_bytes))
        return f"{self.timeline:08X}{high:08X}{low:08X}"

    def begin(self, segment_bytes: int = DEFAULT_SEGMENT_BYTES) -> int:
        """Return the position of its first byte."""
        return self.number * segment_bytes


@dataclass(frozen=True)
class Leg:
    """The part of a way through the log that lies on one timeline: `begin` and `end` are positions, `end` is None on the last timeline."""

    timeline: int
    begin: int
    end: int | None


def way_to(timeline: int, history: str) -> tuple[Leg, ...]:
    """Return the legs from the beginning of the log to the end of `timeline`, as its history file tells (empty for timeline 1).

    Raises ValueError for a history that PostgreSQL would refuse: timelines or positions that do not grow.
    """
    legs: list[Leg] = []
    begin = 0
    for line in history.splitlines():
        found = _HISTORY.match(line)
        if found is None:
            if line.strip() and not line.lstrip().startswith("#"):
                raise ValueError(f"the history of timeline {timeline} has a line that is none: {line[:80]!r}")
            continue
        parent, switch = int(found[1]), parse_lsn(found[2])
        if parent >= timeline or (legs and (parent <= legs[-1].timeline or switch < begin)):
            raise ValueError(f"the history of timeline {timeline} is out of order at timeline {parent}")
        legs.append(Leg(parent, begin, switch))
        begin = switch
    return (*legs, Leg(timeline, begin, None))


def parting(one: Iterable[Leg], other: Iterable[Leg]) -> int:
    """Return the position up to which two different ways are the same."""
    shared = 0
    for leg, beside in zip(one, other, strict=False):
        if leg.timeline != beside.timeline:
            break
        shared = min(end for end in (leg.end, beside.end) if end is not None)
        if leg.end != beside.end:
            break
    return shared


def segment_on(way: Iterable[Leg], number: int, segment_bytes: int = DEFAULT_SEGMENT_BYTES) -> Segment:
    """Return which timeline's file holds segment `number` on a way: the last one that begins in it or before, as recovery reads it.

    Where timelines part within a segment, the newer one's file repeats what the older one's has up to there.
    """
    return Segment(max(leg.timeline for leg in way if leg.begin // segment_bytes <= number), number)


def _per_id(segment_bytes: int) -> int:
    return (1 << 32) // segment_bytes
