"""Timelines of the write-ahead log: what their history files say, and which way leads to the end of each.

Histories are read as PostgreSQL's recovery reads them (access/transam/timeline.c, readTimeLineHistory, and how tliOfPointInHistory walks
what that returns). Timelines grow from line to line. The positions where they were left need not: a recovery along a timeline to a position
before that timeline begins ends on an ancestor, and PostgreSQL writes down the timeline it was told to follow, not the one it ended on
(xlog.c, StartupXLOG). The newest timeline that begins at a position or before is then the one that holds it.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from pgkeeper.model.wal import DEFAULT_SEGMENT_BYTES, Segment, parse_lsn

_LINE = re.compile(r"\s*(\d+)\s+([0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8})")


def history_name(timeline: int) -> str:
    """Return the file name of a timeline's history. Timeline 1 has none."""
    return f"{timeline:08X}.history"


@dataclass(frozen=True)
class Leg:
    """The part of a way through the log that lies on one timeline: `begin` and `end` are positions, `end` is None on the last timeline."""

    timeline: int
    begin: int
    end: int | None


@dataclass(frozen=True)
class Lineage:
    """Where production is: on `timeline`, on which way there, and on which timelines it is known to have been, this one among them.

    `seen_at`: nobody can be asked any more, and this is where it was then.
    """

    timeline: int
    way: tuple[Leg, ...]
    known: frozenset[int]
    seen_at: datetime | None = None

    def strangers(self, timelines: Iterable[int]) -> list[int]:
        """Return which of some timelines production never was on, for all that is known."""
        return sorted(set(timelines) - self.known)


def way_to(timeline: int, history: str) -> tuple[Leg, ...]:
    """Return the legs from the beginning of the log to the end of `timeline`, as its history file tells (empty for timeline 1).

    A timeline of the history that holds no position is left out. Raises ValueError for a history that PostgreSQL would refuse.
    """
    begins: list[tuple[int, int]] = []
    begin = 0
    for parent, switch in named_in(timeline, history):
        begins = [*(one for one in begins if one[1] < begin), (parent, begin)]
        begin = switch
    begins = [*(one for one in begins if one[1] < begin), (timeline, begin)]
    ends = [*(at for _, at in begins[1:]), None]
    return tuple(Leg(one, at, end) for (one, at), end in zip(begins, ends, strict=True))


def named_in(timeline: int, history: str) -> list[tuple[int, int]]:
    """Return the timelines that a history names, the oldest first, and the position where each was left. Raises ValueError as `way_to`."""
    found: list[tuple[int, int]] = []
    # PostgreSQL looks for no history of the first timeline.
    for line in history.split("\n") if timeline > 1 else ():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        read = _LINE.match(line)
        if read is None:
            raise ValueError(f"the history of timeline {timeline} has a line that is none: {line[:80]!r}")
        parent = int(read[1])
        if parent >= timeline or (found and parent <= found[-1][0]):
            raise ValueError(f"the history of timeline {timeline} is out of order at timeline {parent}")
        found.append((parent, parse_lsn(read[2])))
    return found


def leg_at(way: Iterable[Leg], position: int) -> Leg:
    """Return the leg of a way that holds the byte at a position."""
    return next(leg for leg in way if leg.end is None or position < leg.end)


def leads_alike(one: Sequence[Leg], other: Sequence[Leg], position: int) -> bool:
    """Tell whether two ways go over the same timelines up to a position, and hold the byte there on the same one."""
    return _up_to(one, position) == _up_to(other, position)


def segment_on(way: Iterable[Leg], number: int, segment_bytes: int = DEFAULT_SEGMENT_BYTES) -> Segment:
    """Return which timeline's file holds segment `number` on a way: the last one that begins in it or before, as recovery reads it.

    Where timelines part within a segment, the newer one's file repeats what the older one's has up to there.
    """
    return Segment(max(leg.timeline for leg in way if leg.begin // segment_bytes <= number), number)


def _up_to(way: Sequence[Leg], position: int) -> list[tuple[int, int]]:
    return [(leg.timeline, leg.begin) for leg in way if leg.begin <= position]
