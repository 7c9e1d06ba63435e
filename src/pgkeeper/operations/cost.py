"""Say what copies off site cost: now, in two years, in a restore, and what they would cost elsewhere. Asks no provider."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from pgkeeper.model.cost import StoredCopy, format_dollars, newest_copies, over_budget_in_months
from pgkeeper.model.errors import UsageError
from pgkeeper.model.forecast import Holding, forecast, when_full
from pgkeeper.model.prices import price_list
from pgkeeper.operations.bills import TOLD, MonthCost, ProviderCost, StoreCost, by_month, by_provider, by_store
from pgkeeper.operations.copy_growth import Measure, copy_growth
from pgkeeper.operations.listing import BackupSummary, list_backups
from pgkeeper.operations.off_site import known_off_site
from pgkeeper.operations.reports import Message
from pgkeeper.settings import Settings

_WARNED = 12
"""A budget that is exceeded within so many months is warned about."""


class CopyGrowth(Message):
    """How large the newest copy of a database is, and by how many bytes a day copies grow: None is not known, and reckoned with as 0.

    `measured_by` says what tells: sizes of `backups`, of the `database` itself, or `none`.
    """

    cluster: str
    database: str
    newest_bytes: int
    bytes_per_day: int | None
    measured_by: Measure


class CostReport(Message):
    """What copies off site cost, in dollars.

    `off_site` is False while there are none, be it that none was sent yet: then nothing is in `stores` and `forecast`, and `providers` say
    what the backups of this host would cost once their copies fill the retention. `over_budget_in_months` is the first month, of the next
    24, that costs more than `monthly_budget`: 0 is now, None is none of them, or no budget.
    """

    off_site: bool
    retention_days: int
    databases: tuple[CopyGrowth, ...]
    stores: tuple[StoreCost, ...]
    forecast: tuple[MonthCost, ...]
    providers: tuple[ProviderCost, ...]
    monthly_budget: float | None
    over_budget_in_months: int | None
    warnings: tuple[str, ...] = ()


def cost(settings: Settings) -> CostReport:
    """Reckon from what is known of copies, or without any from the local backups. Changes nothing.

    Raises UsageError when there is nothing to reckon with, ConfigurationError when a price is not known.
    """
    now = datetime.now(UTC)
    backups = [backup for backup in list_backups(settings) if backup.created_at <= now]
    stored = _stored(settings)
    off_site = bool(stored)
    starts = _as_stored(stored, now) if off_site else _as_planned(backups, settings, now)
    growth = _growth(settings, starts, backups, now, real=off_site)
    rates = {(one.cluster, one.database): float(one.bytes_per_day or 0) for one in growth}
    held = [forecast(start, rates[_whose(start)], settings.off_site_retention, TOLD[-1]) for start in starts]
    prices = price_list(settings.prices)
    months = by_month(held, prices) if off_site else []
    over = over_budget_in_months([month.dollars for month in months], settings.monthly_budget)
    return CostReport(
        off_site=off_site,
        retention_days=settings.retention_days,
        databases=growth,
        stores=by_store(starts, prices) if off_site else (),
        forecast=tuple(months[month] for month in TOLD) if off_site else (),
        providers=by_provider([one for one in held if one[0].kept[0].store == starts[0].kept[0].store], prices, settings.monthly_budget),
        monthly_budget=settings.monthly_budget,
        over_budget_in_months=over,
        warnings=_warnings(months, over, settings.monthly_budget),
    )


def _stored(settings: Settings) -> tuple[StoredCopy, ...]:
    """Return all copies off site that are known, those of the first bucket first."""
    return tuple(
        StoredCopy(bucket.store, bucket.provider, copy.storage_class, copy.cluster, copy.database, copy.created_at, copy.size_bytes)
        for bucket, (_store, ledger) in zip(settings.buckets, known_off_site(settings), strict=True)
        for copy in ledger.copies
    )


def _as_stored(copies: Sequence[StoredCopy], now: datetime) -> list[Holding]:
    """Return the copies by store and database, in the order in which they come."""
    found: dict[tuple[str, str, str], list[StoredCopy]] = {}
    for copy in copies:
        found.setdefault((copy.store, copy.cluster, copy.database), []).append(copy)
    return [Holding(now, tuple(own)) for own in found.values()]


def _as_planned(backups: Iterable[BackupSummary], settings: Settings, now: datetime) -> list[Holding]:
    """Return what would be stored once a daily copy of each database, as large as its newest backup, has filled the retention."""
    copies = (
        StoredCopy("cloud", "", "", backup.cluster, backup.database, backup.created_at, backup.size_bytes)
        for backup in backups
        if backup.size_bytes is not None
    )
    newest = newest_copies(copies)
    if not newest:
        raise UsageError("there is no backup to reckon with", "", "make one with `pgkeeper backup`")
    return [when_full(copy, now, settings.off_site_retention) for copy in newest]


def _growth(
    settings: Settings, starts: Iterable[Holding], backups: Sequence[BackupSummary], now: datetime, *, real: bool
) -> tuple[CopyGrowth, ...]:
    """Return how the copies of each database grow. Those that are only planned (not `real`) tell nothing about it."""
    stored = [copy for start in starts for copy in start.kept]
    found = []
    for copy in sorted(newest_copies(stored), key=lambda copy: (copy.cluster, copy.database)):
        sizes = [
            (one.created_at, one.size_bytes) for one in stored if real and (one.cluster, one.database) == (copy.cluster, copy.database)
        ]
        rate, measure = copy_growth(settings, copy.cluster, copy.database, sizes, backups, now)
        found.append(
            CopyGrowth(
                cluster=copy.cluster,
                database=copy.database,
                newest_bytes=copy.size_bytes,
                bytes_per_day=None if rate is None else round(rate),
                measured_by=measure,
            )
        )
    return tuple(found)


def _whose(holding: Holding) -> tuple[str, str]:
    return holding.kept[0].cluster, holding.kept[0].database


def _warnings(months: Sequence[MonthCost], over: int | None, budget: float | None) -> tuple[str, ...]:
    if budget is None or over is None or over > _WARNED:
        return ()
    much = f"{format_dollars(months[over].dollars)} a month, more than the {format_dollars(budget)} of BACKUP_MONTHLY_BUDGET"
    return (f"copies off site cost {much}" if over == 0 else f"copies off site will cost {much}, in {over} months",)
