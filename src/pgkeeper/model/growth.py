"""How fast a database grows, from its sizes at some moments."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

_SHORTEST = timedelta(hours=12)


def growth_per_day(sizes: Sequence[tuple[datetime, int]], since: datetime) -> float | None:
    """Return bytes a day between the first measurement not before `since` and the last one.

    None when these lie less than half a day apart: extrapolating from minutes tells nothing.
    """
    within = sorted(measurement for measurement in sizes if measurement[0] >= since)
    if not within or within[-1][0] - within[0][0] < _SHORTEST:
        return None
    days = (within[-1][0] - within[0][0]) / timedelta(days=1)
    return (within[-1][1] - within[0][1]) / days


def newest_of_each_day(sizes: Sequence[tuple[datetime, int]], since: datetime) -> tuple[tuple[datetime, int], ...]:
    """Return the measurements not before `since`, of each day in UTC only the last, oldest first."""
    days = {at.astimezone(UTC).date(): (at, size) for at, size in sorted(sizes) if at >= since}
    return tuple(days[day] for day in sorted(days))
