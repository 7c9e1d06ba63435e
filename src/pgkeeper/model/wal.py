"""Write-ahead log: positions, and the segments they lie in.

Segment names are PostgreSQL's (access/xlog_internal.h; documentation, "WAL Internals"): 8 hexadecimal digits each of the timeline, and of
the two halves of the segment's number.
"""

import re
from dataclasses import dataclass

DEFAULT_SEGMENT_BYTES = 16 << 20
_SEGMENT = re.compile(r"[0-9A-F]{24}")
_LSN = re.compile(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})")


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


def _per_id(segment_bytes: int) -> int:
    return (1 << 32) // segment_bytes
