"""How fast something grows, a database or its backups, from its sizes at some moments."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import combinations
from statistics import median

_SHORTEST = timedelta(hours=12)
_FEWEST_DAYS = 3


def growth_per_day(sizes: Sequence[tuple[datetime, int]], since: datetime) -> float | None:
    """Return bytes a day between the first measurement not before `since` and the last one.

    None when these lie less than half a day apart: extrapolating from minutes tells nothing.
    """
    within = sorted(measurement for measurement in sizes if measurement[0] >= since)
    if not within or within[-1][0] - within[0][0] < _SHORTEST:
        return None
    days = (within[-1][0] - within[0][0]) / timedelta(days=1)
    return (within[-1][1] - within[0][1]) / days


def typical_growth_per_day(sizes: Sequence[tuple[datetime, int]], since: datetime) -> float | None:
    """Return bytes a day since then as a forecast needs them: the median of the growth between any two days (Theil-Sen).

    A day or two with an odd size change nothing. None when sizes of fewer than three days are known.
    """
    days = newest_of_each_day(sizes, since)
    if len(days) < _FEWEST_DAYS:
        return None
    return median((after[1] - before[1]) / ((after[0] - before[0]) / timedelta(days=1)) for before, after in combinations(days, 2))


def newest_of_each_day(sizes: Sequence[tuple[datetime, int]], since: datetime) -> tuple[tuple[datetime, int], ...]:
    """Return the measurements not before `since`, of each day in UTC only the last, oldest first."""
    days = {at.astimezone(UTC).date(): (at, size) for at, size in sorted(sizes) if at >= since}
    return tuple(days[day] for day in sorted(days))
