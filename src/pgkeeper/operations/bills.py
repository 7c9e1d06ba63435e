"""From copies to what they cost: by month, by store, and at each provider."""

from collections.abc import Iterable, Sequence

from pgkeeper.model.cost import StoredCopy, newest_copies, over_budget_in_months, restore_dollars, storage_dollars
from pgkeeper.model.forecast import Holding
from pgkeeper.model.prices import Price, price_of
from pgkeeper.operations.reports import Message

TOLD = (0, 6, 12, 24)
"""For which months from now on the cost is told."""
Holdings = tuple[Holding, ...]
"""The copies of one database in one store, now and in each of the coming months."""

_DIGITS = 6
"""Digits after the point of a dollar: little is not nothing."""


class MonthCost(Message):
    """What is stored in so many months (0: now), and what it then costs a month."""

    months: int
    copies: int
    size_bytes: int
    dollars: float


class StoreCost(Message):
    """What lies in one store in one storage class, what it costs a month, and what fetching the newest copy of each database costs once."""

    store: str
    provider: str
    storage_class: str
    copies: int
    size_bytes: int
    dollars: float
    restore_bytes: int
    restore_dollars: float


class ProviderCost(Message):
    """What the copies of one store would cost at this price. `over_budget_in_months` as in the report."""

    price: Price
    forecast: tuple[MonthCost, ...]
    restore_dollars: float
    over_budget_in_months: int | None


def by_month(held: Sequence[Holdings], prices: Sequence[Price]) -> list[MonthCost]:
    """Return what all stores cost together, now and in each month."""
    return [_month(month, holdings, _bill(holdings, prices)) for month, holdings in enumerate(zip(*held, strict=True))]


def _bill(holdings: Iterable[Holding], prices: Sequence[Price]) -> float:
    """Return what copies cost where they are. What is free at a provider is so once, not once a store."""
    sizes: dict[Price, int] = {}
    for holding in holdings:
        for place in {_place(copy) for copy in (*holding.kept, *holding.gone)}:
            price = price_of(prices, *place)
            sizes[price] = sizes.get(price, 0) + _size(copy for copy in holding.charged(price) if _place(copy) == place)
    return sum(storage_dollars(price, size) for price, size in sizes.items())


def by_store(starts: Iterable[Holding], prices: Sequence[Price]) -> tuple[StoreCost, ...]:
    """Return each store by itself. What is free at a provider goes to its first store, so that the sum is right."""
    found: dict[tuple[str, str, str], list[StoredCopy]] = {}
    for start in starts:
        for copy in start.kept:
            found.setdefault((copy.store, copy.provider, copy.storage_class), []).append(copy)
    fetched = {store: newest_copies(copy for key, own in found.items() if key[0] == store for copy in own) for store, _, _ in found}
    before: dict[Price, int] = {}
    costs = []
    for (store, provider, storage_class), own in found.items():
        price = price_of(prices, provider, storage_class)
        size, already = _size(own), before.get(price, 0)
        before[price] = already + size
        restore = _size(copy for copy in fetched[store] if _place(copy) == (provider, storage_class))
        costs.append(
            StoreCost(
                store=store,
                provider=provider,
                storage_class=storage_class,
                copies=len(own),
                size_bytes=size,
                dollars=round(storage_dollars(price, already + size) - storage_dollars(price, already), _DIGITS),
                restore_bytes=restore,
                restore_dollars=round(restore_dollars(price, restore, size), _DIGITS),
            )
        )
    return tuple(costs)


def by_provider(held: Sequence[Holdings], prices: Sequence[Price], budget: float | None) -> tuple[ProviderCost, ...]:
    """Return what the same copies cost at each price, the cheapest first."""
    stored = [copy for holdings in held for copy in holdings[0].kept]
    restored = _size(newest_copies(stored))
    found = []
    for price in prices:
        months = [
            _month(month, holdings, storage_dollars(price, _size(copy for holding in holdings for copy in holding.charged(price))))
            for month, holdings in enumerate(zip(*held, strict=True))
        ]
        found.append(
            ProviderCost(
                price=price,
                forecast=tuple(months[month] for month in TOLD),
                restore_dollars=round(restore_dollars(price, restored, _size(stored)), _DIGITS),
                over_budget_in_months=over_budget_in_months([month.dollars for month in months], budget),
            )
        )
    return tuple(sorted(found, key=lambda one: (one.forecast[0].dollars, one.price.provider, one.price.storage_class)))


def _month(month: int, holdings: Sequence[Holding], dollars: float) -> MonthCost:
    kept = [copy for holding in holdings for copy in holding.kept]
    return MonthCost(months=month, copies=len(kept), size_bytes=_size(kept), dollars=round(dollars, _DIGITS))


def _place(copy: StoredCopy) -> tuple[str, str]:
    return copy.provider, copy.storage_class


def _size(copies: Iterable[StoredCopy]) -> int:
    return sum(copy.size_bytes for copy in copies)
