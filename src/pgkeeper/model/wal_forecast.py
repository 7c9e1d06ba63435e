"""When the disk of the log is full while nothing is archived: then the server stops."""

from dataclasses import dataclass

_HOUR = 3600.0


@dataclass(frozen=True)
class WalDisk:
    """The disk with the server's log: `free_bytes` there, and how fast the log is written."""

    free_bytes: int
    wal_bytes_per_second: float


def hours_until_full(disk: WalDisk) -> float | None:
    """Return in how many hours nothing is free any more if archiving does not work again; None where the log does not grow.

    Nothing of the log can be removed meanwhile, so all that is written adds to it.
    """
    if disk.wal_bytes_per_second <= 0:
        return None
    return max(disk.free_bytes, 0) / disk.wal_bytes_per_second / _HOUR
