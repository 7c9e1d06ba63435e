"""When the disk of the log is full while nothing is archived: then the server stops."""

from dataclasses import dataclass

_HOUR = 3600.0
_SHORTEST = 60.0
"""Of less time no rate is told: two segments that are ended by hand in a row are no flood."""


@dataclass(frozen=True)
class WalDisk:
    """The disk with the server's log: `free_bytes` there, and how fast the log is written."""

    free_bytes: int
    wal_bytes_per_second: float


def wal_rate(segments: int, seconds: float, segment_bytes: int) -> float:
    """Return how many bytes of log are written a second, from those `segments` that were ended within the last hour.

    The first of them was ended `seconds` ago: what it holds was written before, so the others alone tell how fast the log has grown since.
    Over the whole hour all of them count. The faster one of both is told.
    """
    since_the_first = max(segments - 1, 0) / max(seconds, _SHORTEST)
    return max(since_the_first, segments / _HOUR) * segment_bytes


def hours_until_full(disk: WalDisk) -> float | None:
    """Return in how many hours nothing is free any more if archiving does not work again; None where the log does not grow.

    Nothing of the log can be removed meanwhile, so all that is written adds to it.
    """
    if disk.wal_bytes_per_second <= 0:
        return None
    return max(disk.free_bytes, 0) / disk.wal_bytes_per_second / _HOUR
