"""`pgkeeper cost`."""

from typing import TYPE_CHECKING

from pgkeeper.cli.door import JsonOption, open_door
from pgkeeper.cli.say import say
from pgkeeper.cli.tables import print_facts, print_table
from pgkeeper.model.cost import format_dollars
from pgkeeper.model.sizes import format_signed_size, format_size

if TYPE_CHECKING:
    from pgkeeper.operations.bills import MonthCost, ProviderCost
    from pgkeeper.operations.cost import CopyGrowth, CostReport


def command(json: JsonOption = False) -> None:
    """Show what copies off site cost, what they will cost, and what they would cost at other providers."""
    from pgkeeper.operations.cost import cost

    door = open_door(json=json)
    report = cost(door.settings)
    door.show("cost", report, lambda: _show(report))
    for warning in report.warnings:
        door.warn(warning)


def _show(report: "CostReport") -> None:
    if report.off_site:
        _show_stores(report)
        say()
        say("The same copies elsewhere:")
    else:
        days = report.retention_days
        say(f"Nothing is off site yet. A month would cost, once there is a copy of each of the {days} days they are kept:")
    _show_providers(report)
    say()
    print_facts((database.database, _growth(database)) for database in report.databases)
    if report.monthly_budget is not None and report.off_site:
        say()
        say(f"Budget: {format_dollars(report.monthly_budget)} a month; {_verdict(report.over_budget_in_months)}.")


def _show_stores(report: "CostReport") -> None:
    columns = ("STORE", "PROVIDER", "CLASS", "COPIES", "SIZE", "A MONTH", "RESTORE")
    rows = [
        (
            store.store,
            store.provider,
            store.storage_class,
            str(store.copies),
            format_size(store.size_bytes),
            format_dollars(store.dollars),
            format_dollars(store.restore_dollars),
        )
        for store in report.stores
    ]
    print_table(columns, rows, right=columns[3:])
    say()
    print_table(("WHEN", *columns[3:6]), [_month(month) for month in report.forecast], right=columns[3:6])


def _month(month: "MonthCost") -> tuple[str, ...]:
    return _when(month.months), str(month.copies), format_size(month.size_bytes), format_dollars(month.dollars)


def _show_providers(report: "CostReport") -> None:
    months = tuple(_when(month.months).upper() for month in report.providers[0].forecast)
    budget = ("BUDGET",) if report.monthly_budget is not None else ()
    columns = ("PROVIDER", "CLASS", "PER GB", *months, "RESTORE", *budget)
    rows = [(*_provider(one), *([_verdict(one.over_budget_in_months)] if budget else [])) for one in report.providers]
    print_table(columns, rows, right=columns[2 : len(columns) - len(budget)])


def _provider(one: "ProviderCost") -> tuple[str, ...]:
    return (
        one.price.provider,
        one.price.storage_class,
        f"${one.price.storage:g}",
        *(format_dollars(month.dollars) for month in one.forecast),
        format_dollars(one.restore_dollars),
    )


def _when(months: int) -> str:
    return f"{months} months" if months else "now"


def _verdict(months: int | None) -> str:
    if months is None:
        return "kept"
    return f"exceeded in {months} month{'s' if months > 1 else ''}" if months else "exceeded"


def _growth(database: "CopyGrowth") -> str:
    size = f"{format_size(database.newest_bytes)} a copy"
    if database.bytes_per_day is None:
        return f"{size}; how fast it grows is not known yet, so the forecast is flat"
    of = {"backups": "its backups", "database": "the database, compressed"}[database.measured_by]
    return f"{size}, {format_signed_size(database.bytes_per_day)} a day (as measured of {of})"
