"""What providers charge: public list prices in US dollars, and how settings put them right.

A GB is 10^9 bytes, as everywhere in pgkeeper and on Backblaze's bills. Amazon and Google call 2^30 bytes a GB, so theirs come out up to 7 %
lower than what is reckoned here.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pgkeeper.model.errors import ConfigurationError

GB = 10**9
STANDARD = "STANDARD"
"""The storage class of a bucket for which nothing else is said."""


@dataclass(frozen=True)
class Price:
    """What one storage class of a provider costs, in dollars.

    `storage` is for a GB and month, beyond the first `free` GB. `egress` is for each GB that leaves the provider, beyond `egress_free` GB a
    month or `egress_free_times` what is stored, whichever is more. `retrieval` is for each GB that is read, wherever it goes. What is
    removed before `minimum_days` is paid for until then.
    """

    provider: str
    storage_class: str
    storage: float
    egress: float
    free: float = 0.0
    egress_free: float = 0.0
    egress_free_times: float = 0.0
    retrieval: float = 0.0
    minimum_days: int = 0


PRICES = (
    Price("backblaze", STANDARD, storage=0.005, egress=0.01, free=10, egress_free_times=3),
    Price("aws", STANDARD, storage=0.023, egress=0.09, egress_free=100),
    Price("aws", "STANDARD_IA", storage=0.0125, egress=0.09, egress_free=100, retrieval=0.01, minimum_days=30),
    Price("aws", "GLACIER_IR", storage=0.004, egress=0.09, egress_free=100, retrieval=0.03, minimum_days=90),
    Price("gcs", STANDARD, storage=0.020, egress=0.12),
    Price("gcs", "NEARLINE", storage=0.010, egress=0.12, retrieval=0.01, minimum_days=30),
    Price("gcs", "COLDLINE", storage=0.004, egress=0.12, retrieval=0.02, minimum_days=90),
)
"""List prices in the providers' regions in the United States, for small amounts."""

_PARTS = ("storage", "free", "egress", "egress_free", "egress_free_times", "retrieval", "minimum_days")
_PLACE = re.compile(r"([a-z]+):([A-Z0-9_]+)")
_NUMBER = re.compile(r"\d{1,9}(\.\d{1,9})?")
_LONGEST_MINIMUM = 3650


def parse_prices(text: str) -> tuple[Price, ...]:
    """Read prices that differ from the list: `backblaze:STANDARD storage=0.006 egress=0.01; aws:STANDARD storage=0.021`.

    What is not named stays as in the list; a class that is not in it begins as the provider's STANDARD and must name its storage price.
    Raises ValueError.
    """
    found: list[Price] = []
    for entry in filter(None, (part.strip() for part in text.split(";"))):
        price = _parse_price(entry)
        if _find(found, price.provider, price.storage_class):
            raise ValueError(f"names {price.provider}:{price.storage_class} twice")
        found.append(price)
    return tuple(found)


def price_list(changed: Sequence[Price]) -> tuple[Price, ...]:
    """Return all prices, those of `changed` in the place of the list's."""
    listed = tuple(_find(changed, price.provider, price.storage_class) or price for price in PRICES)
    return listed + tuple(price for price in changed if price not in listed)


def price_of(prices: Sequence[Price], provider: str, storage_class: str) -> Price:
    """Return one price. Raises ConfigurationError (exit status 3) when there is none, rather than leave it out of a sum."""
    found = _find(prices, provider, storage_class)
    if found is None:
        place = f"{provider}:{storage_class}"
        raise ConfigurationError(
            f"the price of {place} is not known", "", f'set BACKUP_PRICES="{place} storage=…" to dollars a GB and month'
        )
    return found


def _find(prices: Sequence[Price], provider: str, storage_class: str) -> Price | None:
    return next((price for price in prices if (price.provider, price.storage_class) == (provider, storage_class)), None)


def _parse_price(entry: str) -> Price:
    place, *parts = entry.split()
    named = _PLACE.fullmatch(place)
    providers = list(dict.fromkeys(price.provider for price in PRICES))
    if named is None or named[1] not in providers:
        raise ValueError(f'must name a provider ({", ".join(providers)}) and a storage class, as in "aws:STANDARD", instead of "{place}"')
    given: dict[str, Any] = {}
    for part in parts:
        name, _, value = part.partition("=")
        if name not in _PARTS or not _NUMBER.fullmatch(value) or name in given:
            raise ValueError(f'must give {place} numbers, each once, as in "storage=0.006" ({", ".join(_PARTS)}), instead of "{part}"')
        given[name] = float(value)
    if "minimum_days" in given:
        if not given["minimum_days"].is_integer() or given["minimum_days"] > _LONGEST_MINIMUM:
            raise ValueError(f"must give {place} minimum_days that are whole days, {_LONGEST_MINIMUM} at most")
        given["minimum_days"] = int(given["minimum_days"])
    listed = _find(PRICES, named[1], named[2])
    if not given or (listed is None and "storage" not in given):
        raise ValueError(f'must give {place} a price, as in "storage=0.006"')
    base = listed or replace(price_of(PRICES, named[1], STANDARD), storage_class=named[2], free=0)
    return replace(base, **given)
