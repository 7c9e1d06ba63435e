"""What will lie in a store in some months: a copy a day, each a little larger, and retention as it is set."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pgkeeper.model.cost import StoredCopy
from pgkeeper.model.prices import Price
from pgkeeper.model.retention import Held, Policy, decide

_DAY = timedelta(days=1)
_MONTH_DAYS = 365.25 / 12
_MIDDAY = 0.5
"""When on a day its copy is made; so that N days of them are N, whenever one counts."""
_STOPPED = timedelta(days=7)
"""A database without a copy for so long is taken for one that gets none any more."""
_LONGEST_PAST = 3650
"""Days of copies that are imagined at most."""


@dataclass(frozen=True)
class Holding:
    """The copies of one database in one store at a moment. `gone` were removed; some providers still charge for them."""

    at: datetime
    kept: tuple[StoredCopy, ...]
    gone: tuple[StoredCopy, ...] = ()

    def charged(self, price: Price) -> tuple[StoredCopy, ...]:
        """Return the copies that `price` makes one pay for: those that are there, and those that went before their time."""
        minimum = timedelta(days=price.minimum_days)
        return self.kept + tuple(copy for copy in self.gone if self.at - copy.created_at < minimum)


def forecast(start: Holding, bytes_per_day: float, policy: Policy, months: int) -> tuple[Holding, ...]:
    """Return what is held now, and in 1, 2, … `months` months.

    From now on there is one copy a day, as large as the newest one and `bytes_per_day` larger each day; once a month what `policy` does not
    keep goes. A store that is not full yet fills up that way. A database without a copy for a week gets none any more, and keeps what is
    there.
    """
    holdings = [start]
    newest = max(start.kept, key=lambda copy: copy.created_at, default=None)
    for month in range(1, months + 1):
        held = holdings[-1]
        at = start.at + round(month * _MONTH_DAYS) * _DAY
        added = () if newest is None or start.at - newest.created_at > _STOPPED else _daily(newest, start.at, held.at, at, bytes_per_day)
        holdings.append(_expired(Holding(at, held.kept + added, held.gone), policy))
    return tuple(holdings)


def when_full(copy: StoredCopy, now: datetime, policy: Policy) -> Holding:
    """Return what is held once a copy a day, as large as `copy`, has been made for as long as `policy` keeps any (ten years at most)."""
    reach = max(policy.days, policy.daily, 7 * policy.weekly, 31 * policy.monthly, 366 * policy.yearly)
    # Some providers charge for a year what is removed before.
    past = range(min(max(reach, 366), _LONGEST_PAST))
    return _expired(Holding(now, tuple(replace(copy, created_at=now - (day + _MIDDAY) * _DAY) for day in past)), policy)


def _daily(newest: StoredCopy, now: datetime, after: datetime, until: datetime, bytes_per_day: float) -> tuple[StoredCopy, ...]:
    """Return the copies of the days between `after` and `until`, both whole days from `now`."""
    days = (day + _MIDDAY for day in range((after - now) // _DAY, (until - now) // _DAY))
    return tuple(
        replace(newest, created_at=now + day * _DAY, size_bytes=max(0, round(newest.size_bytes + bytes_per_day * day))) for day in days
    )


def _expired(holding: Holding, policy: Policy) -> Holding:
    """Return what is left after retention has looked."""
    judged = (Held(str(number), copy.created_at) for number, copy in enumerate(holding.kept))
    removed = frozenset(int(number) for number in decide(judged, holding.at, policy).removed)
    kept = tuple(copy for number, copy in enumerate(holding.kept) if number not in removed)
    return Holding(holding.at, kept, holding.gone + tuple(holding.kept[number] for number in sorted(removed)))
