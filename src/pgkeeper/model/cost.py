"""What copies off site cost: storage a month, and the one restore that hopefully never comes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from pgkeeper.model.prices import GB, Price


@dataclass(frozen=True)
class StoredCopy:
    """One copy of a backup off site: in which store, at which provider and in which storage class, of what, from when (UTC), how large."""

    store: str
    provider: str
    storage_class: str
    cluster: str
    database: str
    created_at: datetime
    size_bytes: int


def storage_dollars(price: Price, size_bytes: int) -> float:
    """Return what it costs to store so many bytes for a month."""
    return max(0.0, size_bytes / GB - price.free) * price.storage


def restore_dollars(price: Price, size_bytes: int, stored_bytes: int) -> float:
    """Return what it costs to fetch `size_bytes` of the `stored_bytes` that lie there, in a month without other traffic."""
    size = size_bytes / GB
    free = max(price.egress_free, price.egress_free_times * stored_bytes / GB)
    return max(0.0, size - free) * price.egress + size * price.retrieval


def newest_copies(copies: Iterable[StoredCopy]) -> tuple[StoredCopy, ...]:
    """Return of each database the newest copy: what a full restore has to fetch."""
    newest: dict[tuple[str, str], StoredCopy] = {}
    for copy in sorted(copies, key=lambda copy: copy.created_at):
        newest[copy.cluster, copy.database] = copy
    return tuple(newest.values())


def over_budget_in_months(dollars: Sequence[float], budget: float | None) -> int | None:
    """Return the first month that costs more than the budget, None where none does. `dollars` begin with now, month 0."""
    if budget is None:
        return None
    return next((month for month, cost in enumerate(dollars) if cost > budget), None)


def format_dollars(dollars: float) -> str:
    """Return an amount for people: `$0.25`, and `<$0.01` for what is less and not nothing."""
    return "<$0.01" if 0 < dollars < 0.01 else f"${dollars:,.2f}"
